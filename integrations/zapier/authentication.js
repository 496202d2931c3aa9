'use strict';

// A key from [[api.keys]], and where the server is.

const base = (bundle) => String(bundle.authData.base_url || '').replace(/\/+$/, '');

/** Who the key belongs to; fails when it is no good. */
async function test(z, bundle) {
  const response = await z.request({ url: `${base(bundle)}/api/v1/me` });
  return response.data;
}

/** Puts the key into every request. */
function withKey(request, z, bundle) {
  if (bundle.authData && bundle.authData.api_key) {
    request.headers = { ...request.headers, Authorization: `Bearer ${bundle.authData.api_key}` };
  }
  return request;
}

/** Tells why Ponte refused, in its own words, instead of a status alone. */
function explained(response, z) {
  if (response.status < 400) return response;
  const problem = response.data || {};
  const sentence = [problem.title, problem.detail].filter(Boolean).join(' ') || `Ponte answered ${response.status}.`;
  if (response.status === 401) throw new z.errors.ExpiredAuthError(sentence);
  // Zapier waits and comes back by itself for these; it must see the answer as it is.
  if (response.status === 429 || response.status >= 500) return response;
  throw new z.errors.Error(sentence, problem.code || 'refused', response.status);
}

const definition = {
  type: 'custom',
  test,
  connectionLabel: '{{name}}',
  fields: [
    {
      key: 'base_url',
      label: 'Address of Ponte',
      required: true,
      helpText: 'Where your Ponte can be reached from the internet, such as https://ponte.example.com',
    },
    {
      key: 'api_key',
      label: 'API key',
      type: 'password',
      required: true,
      helpText: 'A key from [[api.keys]] of your configuration. Give Zapier one of its own.',
    },
  ],
};

module.exports = { base, definition, explained, test, withKey };
