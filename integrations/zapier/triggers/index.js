'use strict';

// The triggers, as data. The samples are what GET /api/v1/hooks/samples answers while nothing happened.

const person = {
  id: 'per_019b8d3a000070008000000000000001',
  name: 'Ana Souza',
  whatsapp_name: 'Ana',
  phone: '+5511987654321',
  wa_id: '5511987654321',
  user_id: null,
  fields: { language: 'pt-BR', name: 'Ana Souza' },
  tags: ['newsletter'],
  labels: [],
  merged_into: null,
};

const message = {
  id: 'msg_019b8d3a000070008000000000000002',
  direction: 'inbound',
  origin: 'customer',
  kind: 'text',
  text: 'Do you have these in size 38?',
  state: 'received',
  at: '2026-01-05T09:30:00.000Z',
  wamid: 'wamid.EXAMPLE0000',
  reply_to: null,
  class: null,
  times: {},
  edited_at: null,
  withdrawn_at: null,
  error: null,
  media: null,
  content: { type: 'text', text: { body: 'Do you have these in size 38?' } },
};

const sample = (type, change, about) => ({
  type,
  id: 'evt_0000019b8d7df1c00000000000000001',
  timestamp: '2026-01-05T09:30:00.000Z',
  data: {
    person_id: person.id,
    conversation_id: about ? 'cnv_019b8d3a000070008000000000000003' : null,
    message_id: about ? about.id : null,
    number_id: about ? '106540352242922' : null,
    message: about || null,
    person,
    change,
  },
});

const ofPerson = [
  { key: 'id', label: 'Event' },
  { key: 'timestamp', label: 'When', type: 'datetime' },
  { key: 'data__person__id', label: 'Person' },
  { key: 'data__person__name', label: 'Name' },
  { key: 'data__person__phone', label: 'Phone' },
];

const ofMessage = [
  ...ofPerson,
  { key: 'data__message__id', label: 'Message' },
  { key: 'data__message__kind', label: 'Kind' },
  { key: 'data__message__text', label: 'Text' },
  { key: 'data__message__state', label: 'State' },
];

module.exports = [
  {
    key: 'new_message',
    noun: 'Message',
    label: 'New WhatsApp Message',
    description: 'Triggers when a person writes to one of your WhatsApp numbers.',
    event: 'message.received',
    sample: sample('message.received', { kind: 'text', group: false }, message),
    outputFields: ofMessage,
  },
  {
    key: 'message_status',
    noun: 'Status',
    label: 'Message Status Changed',
    description: 'Triggers when a message of yours was sent, delivered, read or not delivered.',
    event: 'message.status',
    sample: sample(
      'message.status',
      { status: 'delivered', at: 1767605401200, code: null },
      { ...message, direction: 'outbound', origin: 'api', state: 'delivered', class: 'reply', text: 'Yes, in black and in red.' },
    ),
    outputFields: [...ofMessage, { key: 'data__change__status', label: 'Status' }],
  },
  {
    key: 'consent_changed',
    noun: 'Consent',
    label: 'Consent Changed',
    description: 'Triggers when a person agrees to be written to, or takes it back.',
    event: 'consent.changed',
    sample: sample('consent.changed', { scope: 'marketing', action: 'confirmed', source: 'button' }),
    outputFields: [
      ...ofPerson,
      { key: 'data__change__scope', label: 'Scope' },
      { key: 'data__change__action', label: 'Action' },
      { key: 'data__change__source', label: 'Source' },
    ],
  },
  {
    key: 'person_changed',
    noun: 'Person',
    label: 'Person Changed',
    description: 'Triggers when a name, a field, a tag or an identifier of a person changes.',
    event: 'person.changed',
    sample: sample('person.changed', { by: 'api:shop', changed: ['field:language'] }),
    outputFields: ofPerson,
  },
];
