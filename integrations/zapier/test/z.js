'use strict';

// What Zapier gives to an app's functions, as far as this app uses it: requests that pass through the app's own middleware, and
// fail on statuses from 400 on.

const app = require('..');

class ExpiredAuthError extends Error {}

class AppError extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const z = (bundle) => {
  const self = { errors: { Error: AppError, ExpiredAuthError } };
  self.request = async (wish) => {
    let request = { method: 'GET', headers: {}, ...wish };
    for (const change of app.beforeRequest) request = await change(request, self, bundle);
    const url = new URL(request.url);
    for (const [name, value] of Object.entries(request.params || {})) url.searchParams.set(name, value);
    const headers = { ...request.headers };
    if (request.body) headers['content-type'] = 'application/json';
    const answer = await fetch(url, {
      method: request.method,
      headers,
      body: request.body && JSON.stringify(request.body),
    });
    const text = await answer.text();
    let response = { status: answer.status, content: text, data: text ? JSON.parse(text) : undefined };
    for (const change of app.afterResponse) response = await change(response, self, bundle);
    if (response.status >= 400) throw new AppError(`answered ${response.status}`, 'status', response.status);
    return response;
  };
  return self;
};

module.exports = { AppError, ExpiredAuthError, z };
