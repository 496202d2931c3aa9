'use strict';

// A trigger of Zapier out of a kind of event: a REST hook. The subscription lives in Ponte; Zapier keeps what it was answered.

const { base } = require('../authentication');

const number = {
  key: 'number',
  label: 'Business number',
  required: false,
  helpText: "Only events of this number: Meta's phone_number_id. Left empty: of all numbers.",
};

function filter(bundle) {
  const wanted = bundle.inputData || {};
  const chosen = {};
  if (wanted.number) chosen.number = String(wanted.number);
  if (wanted.direction) chosen.direction = wanted.direction;
  return chosen;
}

/** Makes the subscription; what it answers is `bundle.subscribeData` later. */
const subscribe = (event) => async (z, bundle) => {
  const response = await z.request({
    url: `${base(bundle)}/api/v1/hooks`,
    method: 'POST',
    body: { target_url: bundle.targetUrl, event, filter: filter(bundle) },
  });
  return response.data;
};

/** Takes it away. Zapier doesn't say why, and Ponte doesn't mind when it is gone. */
async function unsubscribe(z, bundle) {
  await z.request({ url: `${base(bundle)}/api/v1/hooks/${bundle.subscribeData.id}`, method: 'DELETE' });
  return {};
}

/** What was pushed: one event. */
function perform(z, bundle) {
  return [bundle.cleanedRequest];
}

/** Samples for whoever sets the Zap up, in the shape that is pushed, newest first. */
const samples = (event) => async (z, bundle) => {
  const response = await z.request({ url: `${base(bundle)}/api/v1/hooks/samples`, params: { event, limit: 3 } });
  return response.data;
};

module.exports = function trigger({ key, noun, label, description, event, inputFields = [], sample, outputFields }) {
  return {
    key,
    noun,
    display: { label, description },
    operation: {
      type: 'hook',
      inputFields: [number, ...inputFields],
      performSubscribe: subscribe(event),
      performUnsubscribe: unsubscribe,
      perform,
      performList: samples(event),
      sample,
      outputFields,
    },
  };
};
