'use strict';

// What n8n gives to a node's functions as `this`, as far as these nodes use it.

const { PonteApi } = require('../credentials/PonteApi.credentials');

/** `parameters` of the node, `credentials`, and what the node keeps between runs. */
function context({ parameters = {}, credentials, kept = {}, webhookUrl, items = [{ json: {} }] }) {
  const self = {
    getCredentials: async () => credentials,
    getNodeParameter: (name, ...rest) => parameters[name] ?? rest.at(-1),
    getNodeWebhookUrl: () => webhookUrl,
    getWorkflowStaticData: () => kept,
    getInputData: () => items,
    continueOnFail: () => false,
  };
  self.helpers = {
    async httpRequestWithAuthentication(type, { method, url, body, headers }) {
      const { Authorization } = new PonteApi().authenticate.properties.headers;
      const answer = await fetch(url, {
        method,
        headers: {
          ...headers,
          ...(body ? { 'content-type': 'application/json' } : {}),
          authorization: Authorization.replace('=', '').replace('{{$credentials.apiKey}}', credentials.apiKey),
        },
        body: body && JSON.stringify(body),
      });
      const text = await answer.text();
      if (!answer.ok) throw Object.assign(new Error(text), { httpCode: String(answer.status) });
      return text ? JSON.parse(text) : '';
    },
  };
  return self;
}

/** A call of the node's webhook, and what it was answered. */
function called(self, { headers, rawBody, body }) {
  const answered = {};
  const response = {
    status: (status) => Object.assign(answered, { status }) && response,
    send: () => response,
    end: () => response,
  };
  const more = {
    getRequestObject: () => ({ headers, rawBody }),
    getResponseObject: () => response,
    getBodyData: () => body,
  };
  return [Object.assign(Object.create(self), more), answered];
}

module.exports = { called, context };
