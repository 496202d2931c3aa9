'use strict';

// Calls of Ponte's API with the credentials of the node.

/** Asks; gives the body of the answer. */
async function ask(node, method, path, body, headers = {}) {
  const { baseUrl } = await node.getCredentials('ponteApi');
  const options = { method, url: String(baseUrl).replace(/\/+$/, '') + path, json: true, headers };
  if (body) options.body = body;
  return node.helpers.httpRequestWithAuthentication.call(node, 'ponteApi', options);
}

/** The HTTP status of a failed call, wherever the helper of this n8n puts it. */
function statusOf(error) {
  const found = error.httpCode ?? error.statusCode ?? error.status ?? error.response?.status ?? error.cause?.response?.status;
  return found === undefined ? undefined : Number(found);
}

module.exports = { ask, statusOf };
