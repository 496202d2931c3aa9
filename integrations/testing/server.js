'use strict';

// What the tests of integrations share: a running Ponte, named by the environment, and a receiver on this machine.
// PONTE_URL, PONTE_KEY, PONTE_NUMBER, PONTE_APP_SECRET. Without them the tests are left out, and say so.

const { createHmac } = require('node:crypto');
const { once } = require('node:events');
const http = require('node:http');

const environment = {
  url: process.env.PONTE_URL,
  key: process.env.PONTE_KEY,
  number: process.env.PONTE_NUMBER,
  appSecret: process.env.PONTE_APP_SECRET,
};

const skip = environment.url ? false : 'PONTE_URL names no running server';

/** A customer writes: a webhook body as WhatsApp sends it, signed by the app. */
async function customerWrites(from, text) {
  const value = {
    messaging_product: 'whatsapp',
    metadata: { display_phone_number: '15550783881', phone_number_id: environment.number },
    contacts: [{ profile: { name: 'Ana' }, wa_id: from }],
    messages: [
      { from, id: `wamid.${from}.${text}`, timestamp: String(Math.floor(Date.now() / 1000)), type: 'text', text: { body: text } },
    ],
  };
  const body = JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [{ id: '102290129340398', changes: [{ field: 'messages', value }] }],
  });
  const signature = createHmac('sha256', environment.appSecret).update(body).digest('hex');
  const headers = { 'content-type': 'application/json', 'x-hub-signature-256': `sha256=${signature}` };
  const answer = await fetch(`${environment.url}/webhooks/whatsapp`, { method: 'POST', headers, body });
  if (answer.status !== 200) throw new Error(`the webhook was answered ${answer.status}`);
}

/** A receiver that keeps what came and answers with `status`, which may be changed. */
async function receiver() {
  const calls = [];
  const state = { status: 200, calls };
  const server = http.createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const rawBody = Buffer.concat(pieces);
    calls.push({ headers: request.headers, rawBody, body: JSON.parse(rawBody.toString('utf8')) });
    response.writeHead(state.status).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  state.url = `http://127.0.0.1:${server.address().port}/hook`;
  state.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return state;
}

/** Asks until it finds something; fails with `what` after half a minute. */
async function eventually(what, look) {
  const end = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Asks the API without the integration between. */
async function api(method, path, body) {
  const headers = { authorization: `Bearer ${environment.key}`, 'content-type': 'application/json' };
  const answer = await fetch(environment.url + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, data: text ? JSON.parse(text) : null };
}

module.exports = { api, customerWrites, environment, eventually, receiver, skip };
