'use strict';

// The app as Zapier reads it. Everything it calls is a plain function of (z, bundle), so that it can be tried without Zapier's
// own packages: they come under Zapier's platform agreement, and only whoever publishes the app installs them.

const manifest = require('./package.json');
const authentication = require('./authentication');
const trigger = require('./lib/trigger');
const sendMessage = require('./creates/send_message');
const sendTemplate = require('./creates/send_template');
const triggers = require('./triggers');

const byKey = (all) => Object.fromEntries(all.map((one) => [one.key, one]));

module.exports = {
  version: manifest.version,
  platformVersion: manifest.dependencies['zapier-platform-core'],
  authentication: authentication.definition,
  beforeRequest: [authentication.withKey],
  afterResponse: [authentication.explained],
  triggers: byKey(triggers.map(trigger)),
  creates: byKey([sendMessage, sendTemplate]),
  searches: {},
};
