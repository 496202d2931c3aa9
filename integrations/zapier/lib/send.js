'use strict';

// Sending: through Ponte's gate, which may refuse, and says why.

const { base } = require('../authentication');

const recipient = [
  {
    key: 'to',
    label: 'To',
    required: true,
    helpText: 'A phone number with country code (+55 11 98765-4321), or a person of Ponte (per_…).',
  },
  { key: 'from', label: 'From', required: false, helpText: "Meta's phone_number_id. Left empty: your first number." },
  {
    key: 'idempotency_key',
    label: 'Key',
    required: false,
    helpText: 'With the same key a message goes out once, however often the step is run: the id of the order, of the event, …',
  },
];

const sample = {
  id: 'msg_01a2091269ce70ebab3098fe03a820f9',
  person_id: 'per_01a20911a0257167af077f9d806c08f7',
  conversation_id: 'cnv_01a20911a0257167af077f9e45a3af1f',
  state: 'queued',
  again: false,
};

async function send(z, bundle, message, more = {}) {
  const { to, from, idempotency_key: key } = bundle.inputData;
  const body = { to: String(to).startsWith('per_') ? { person: to } : { phone: String(to) }, message, ...more };
  if (from) body.from = String(from);
  const headers = key ? { 'Idempotency-Key': String(key) } : {};
  const response = await z.request({ url: `${base(bundle)}/api/v1/messages`, method: 'POST', headers, body });
  return response.data;
}

module.exports = { recipient, sample, send };
