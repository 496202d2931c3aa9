'use strict';

// Starts a workflow when something happens in Ponte. The subscription is made when the workflow is published and taken away when
// it isn't any more.

const { ask, statusOf } = require('../../lib/api');
const { isSigned } = require('../../lib/signature');

const KINDS = [
  ['message.received', 'Message Received', 'A person wrote'],
  ['message.status', 'Message Status', 'A message of yours was sent, delivered, read or not delivered'],
  ['message.dead', 'Message Given Up', 'A message of yours was given up'],
  ['message.reaction', 'Reaction', 'A person reacted to a message'],
  ['media.stored', 'File Stored', 'The file of a message is there'],
  ['consent.changed', 'Consent Changed', 'A person agreed, or took it back'],
  ['person.created', 'Person Created', 'Somebody was seen for the first time'],
  ['person.changed', 'Person Changed', 'A name, a field, a tag or an identifier changed'],
  ['*', 'Everything', 'Whatever happens'],
];

class PonteTrigger {
  constructor() {
    this.description = {
      displayName: 'Ponte Trigger',
      name: 'ponteTrigger',
      icon: 'fa:comments',
      group: ['trigger'],
      version: 1,
      subtitle: '={{$parameter["events"].join(", ")}}',
      description: 'Starts the workflow when something happens in Ponte',
      defaults: { name: 'Ponte Trigger' },
      inputs: [],
      outputs: ['main'],
      credentials: [{ name: 'ponteApi', required: true }],
      webhooks: [{ name: 'default', httpMethod: 'POST', responseMode: 'onReceived', path: 'ponte' }],
      properties: [
        {
          displayName: 'Events',
          name: 'events',
          type: 'multiOptions',
          required: true,
          default: ['message.received'],
          options: KINDS.map(([value, name, description]) => ({ value, name, description })),
        },
        {
          displayName: 'Business Number',
          name: 'number',
          type: 'string',
          default: '',
          description: "Only events of this number: Meta's phone_number_id. Empty: of all numbers.",
        },
        {
          displayName: 'Direction',
          name: 'direction',
          type: 'options',
          default: '',
          options: [
            { name: 'Both', value: '' },
            { name: 'Inbound', value: 'inbound' },
            { name: 'Outbound', value: 'outbound' },
          ],
          description: 'Only events of messages in this direction',
        },
      ],
    };

    this.webhookMethods = { default: { checkExists, create, delete: remove } };
  }

  async webhook() {
    const request = this.getRequestObject();
    const { secret } = this.getWorkflowStaticData('node');
    if (secret && !isSigned(request.headers, request.rawBody ?? Buffer.alloc(0), secret)) {
      this.getResponseObject().status(401).send('not signed by Ponte').end();
      return { noWebhookResponse: true };
    }
    return { workflowData: [[{ json: this.getBodyData() }]] };
  }
}

function wanted(node) {
  const [number, direction] = [node.getNodeParameter('number', ''), node.getNodeParameter('direction', '')];
  const filter = {};
  if (number) filter.number = String(number);
  if (direction) filter.direction = direction;
  return { target_url: node.getNodeWebhookUrl('default'), events: node.getNodeParameter('events'), filter };
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** True when the subscription is there and is the one that this node wants. */
async function checkExists() {
  const kept = this.getWorkflowStaticData('node');
  if (!kept.id) return false;
  try {
    const there = await ask(this, 'GET', `/api/v1/hooks/${kept.id}`);
    const wish = wanted(this);
    const fits = there.target_url === wish.target_url && same(there.events, wish.events) && same(there.filter, wish.filter);
    if (!fits) await ask(this, 'DELETE', `/api/v1/hooks/${kept.id}`);
    // A disabled one is woken: whoever publishes the workflow again wants to hear.
    else if (there.state !== 'active') await ask(this, 'PATCH', `/api/v1/hooks/${kept.id}`, { state: 'active' });
    return fits;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

async function create() {
  const made = await ask(this, 'POST', '/api/v1/hooks', wanted(this));
  Object.assign(this.getWorkflowStaticData('node'), { id: made.id, secret: made.secret });
  return true;
}

async function remove() {
  const kept = this.getWorkflowStaticData('node');
  if (kept.id) await ask(this, 'DELETE', `/api/v1/hooks/${kept.id}`);
  delete kept.id;
  delete kept.secret;
  return true;
}

module.exports = { PonteTrigger };
