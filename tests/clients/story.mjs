// OpenMeter's published npm client tells the one story of a shop against a server: node story.mjs URL TOKEN RECEIVER APP
// Prints, as JSON, the methods of the client that were never called. Ends with a failure where an answer is not as it should be.

import assert from 'node:assert/strict'
import { OpenMeter } from '@openmeter/sdk'
import * as zod from '@openmeter/sdk/zod'

const [baseUrl, apiKey, receiverUrl, appId] = process.argv.slice(2)
const called = new Set()
const client = recorded(new OpenMeter({ baseUrl, apiKey }), '')

const STRANGER = '01G65Z755AFWAKHE12NY0CQ9FH'
const SUPPLIER = { name: 'ACME Ltd', addresses: [{ country: 'GB', city: 'London' }] }
const DAY = 24 * 60 * 60 * 1000
const ago = (milliseconds) => new Date(Date.now() - milliseconds)
const line = () => ({
  name: 'Fee',
  period: { from: ago(31 * DAY), to: ago(DAY) },
  invoiceAt: ago(DAY / 100),
  rateCard: { price: { type: 'flat', amount: '100.00', paymentTerm: 'in_advance' } },
})
const hooks = (on) => ({
  type: 'custom_invoicing',
  name: 'Our books',
  enableDraftSyncHook: on,
  enableIssuingSyncHook: on,
})
const stateOf = (invoice) => invoice.statusDetails.extendedStatus
const where = async (id) => stateOf(await client.billing.invoices.get(id))

// The client has schemas of what is sent alone. What was answered is what is sent to replace it, so they judge answers too.
// It turns every text that looks like a time into a Date; the schemas take texts in some places and Dates in others.
function judged(schema, answer) {
  const wire = schema.safeParse(JSON.parse(JSON.stringify(answer)))
  const dates = wire.success ? wire : schema.safeParse(answer)
  assert.ok(dates.success, `${JSON.stringify(answer)}\n${dates.error}`)
  return answer
}

function recorded(group, path) {
  return new Proxy(group, {
    get(target, name) {
      const value = target[name]
      if (typeof value === 'function') {
        called.add(path + name)
        return value.bind(target)
      }
      return value !== null && typeof value === 'object' ? recorded(value, `${path}${name}.`) : value
    },
  })
}

function offered(group, path) {
  return Object.entries(group).flatMap(([name, value]) => {
    if (name === 'client' || name === 'config' || value === null || typeof value !== 'object') return []
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(value)).filter((each) => each !== 'constructor')
    return [...methods.map((each) => `${path}${name}.${each}`), ...offered(value, `${path}${name}.`)]
  })
}

async function refused(answer, status) {
  await assert.rejects(answer, (error) => {
    // The client reads the problem of an answer whose content type is exactly that of a problem; else it knows the status text alone.
    assert.equal(error.name, 'HTTPError', error)
    assert.equal(error.status, status)
    assert.ok(error.getField('detail'))
    return true
  })
}

async function eventually(look) {
  const deadline = Date.now() + 60_000
  while (!(await look())) {
    assert.ok(Date.now() < deadline, 'it never came')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function apps() {
  const listed = await client.apps.marketplace.list()
  assert.ok(listed.items.some((each) => each.type === 'custom_invoicing'))
  assert.equal((await client.apps.marketplace.get('custom_invoicing')).name, 'Custom Invoicing')
  // The client can't install without credentials, so that the app is there already.
  await refused(client.apps.marketplace.installWithAPIKey('custom_invoicing', { apiKey: 'k', name: 'Keyed' }), 400)
  await refused(client.apps.marketplace.getOauth2InstallUrl('custom_invoicing'), 400)
  await refused(client.apps.marketplace.authorizeOauth2('custom_invoicing'), 404)
  judged(zod.UpdateAppBody, await client.apps.update(appId, hooks(true)))
  assert.equal((await client.apps.get(appId)).enableIssuingSyncHook, true)
  assert.deepEqual((await client.apps.list()).items.map((each) => each.id), [appId])
}

async function profiles() {
  const roles = { tax: appId, invoicing: appId, payment: appId }
  const usual = { name: 'Usual', default: true, supplier: SUPPLIER, workflow: {}, apps: roles }
  const made = judged(zod.UpdateBillingProfileBody, await client.billing.profiles.create(usual))
  assert.equal(made.workflow.invoicing.dueAfter, 'P30D')
  const slow = { ...usual, name: 'Slow', default: false, workflow: { invoicing: { autoAdvance: false } } }
  const { id } = await client.billing.profiles.create(slow)
  const { apps: _, ...changed } = { ...slow, name: 'By hand' }
  judged(zod.UpdateBillingProfileBody, await client.billing.profiles.update(id, changed))
  judged(zod.UpdateBillingProfileBody, await client.billing.profiles.get(id))
  const spare = await client.billing.profiles.create({ ...slow, name: 'Spare' })
  assert.equal(await client.billing.profiles.delete(spare.id), undefined)
  const listed = await client.billing.profiles.list({ expand: ['apps'] })
  assert.deepEqual(listed.items.map((each) => [each.name, each.apps.invoicing.name]), [
    ['Usual', 'Our books'],
    ['By hand', 'Our books'],
  ])
  return id
}

async function customer() {
  const person = { name: 'Jane Doe', key: 'jane', usageAttribution: { subjectKeys: ['jane-1'] }, currency: 'USD' }
  const { id } = judged(zod.UpdateCustomerBody, await client.customers.create(person))
  const changed = await client.customers.update('jane', { ...person, primaryEmail: 'jane@example.com' })
  assert.equal(judged(zod.UpdateCustomerBody, changed).primaryEmail, 'jane@example.com')
  assert.equal((await client.customers.get(id)).key, 'jane')
  assert.deepEqual((await client.customers.list({ subject: 'jane-1' })).items.map((each) => each.id), [id])
  await refused(client.customers.create(person), 409)
  const known = [{ type: 'custom_invoicing', id: appId, metadata: { debtor: 'D-7' } }]
  const told = judged(zod.UpsertCustomerAppDataBody, await client.customers.apps.upsert('jane', known))
  assert.deepEqual(told[0].metadata, { debtor: 'D-7' })
  assert.equal((await client.customers.apps.list('jane')).totalCount, 1)
  return id
}

async function overrides(customerId, profileId) {
  const pinned = await client.billing.customers.createOverride(customerId, { billingProfileId: profileId })
  judged(zod.UpsertBillingProfileCustomerOverrideBody, pinned.customerOverride)
  assert.equal((await client.billing.customers.getOverride(customerId)).baseBillingProfileId, profileId)
  assert.equal((await client.billing.customers.listOverrides({ billingProfile: [profileId] })).totalCount, 1)
  assert.equal(await client.billing.customers.deleteOverride(customerId), undefined)
  await refused(client.billing.customers.deleteOverride(customerId), 404)
}

async function notifications() {
  const hook = { type: 'WEBHOOK', name: 'Hook', url: receiverUrl }
  const channel = judged(zod.UpdateNotificationChannelBody, await client.notifications.channels.create(hook))
  const named = await client.notifications.channels.update(channel.id, { ...hook, name: 'Our hook' })
  assert.equal(named.signingSecret, channel.signingSecret)
  judged(zod.UpdateNotificationChannelBody, await client.notifications.channels.get(channel.id))
  assert.equal((await client.notifications.channels.list()).totalCount, 1)
  const wanted = { type: 'invoice.created', name: 'New', channels: [channel.id] }
  const rule = await client.notifications.rules.create(wanted)
  const renamed = await client.notifications.rules.update(rule.id, { ...wanted, name: 'New ones' })
  // A rule names its channels' ids, and is answered with their types too.
  judged(zod.UpdateNotificationRuleBody, { ...renamed, channels: renamed.channels.map((each) => each.id) })
  assert.equal((await client.notifications.rules.get(rule.id)).name, 'New ones')
  assert.equal((await client.notifications.rules.list()).totalCount, 1)
  return [rule.id, channel.id]
}

async function invoiced(customerId) {
  const kept = await client.billing.invoices.createLineItems(customerId, { currency: 'USD', lines: [line()] })
  assert.equal(kept.invoice.status, 'gathering')
  const [invoice] = await client.billing.invoices.invoicePendingLines({ customerId })
  return judged(zod.UpdateInvoiceBody, invoice)
}

async function callbacks(customerId) {
  const tried = await client.billing.invoices.simulate(customerId, {
    currency: 'USD',
    lines: [{ ...line(), quantity: '1' }],
  })
  assert.equal(judged(zod.UpdateInvoiceBody, tried).totals.total, '100.00')
  const outside = client.apps.customInvoicing
  const { id, lines } = await invoiced(customerId)
  assert.equal(await where(id), 'draft.syncing')
  const lineExternalIds = [{ lineId: lines[0].id, externalId: 'line-1' }]
  const said = { invoicing: { invoiceNumber: 'B-1', externalId: 'doc-1', lineExternalIds } }
  assert.equal(await outside.draftSynchronized(id, said), undefined)
  assert.equal(await where(id), 'issuing.syncing')
  const sent = { invoicing: { sentToCustomerAt: new Date() }, payment: { externalId: 'pay-1' } }
  assert.equal(await outside.issuingSynchronized(id, sent), undefined)
  assert.equal(await outside.updatePaymentStatus(id, { trigger: 'paid' }), undefined)
  const invoice = await client.billing.invoices.get(id)
  assert.deepEqual([stateOf(invoice), invoice.number, invoice.externalIds], [
    'paid',
    'B-1',
    { invoicing: 'doc-1', payment: 'pay-1' },
  ])
  const query = { statuses: ['paid', 'voided'], customers: [customerId], createdAfter: ago(DAY) }
  assert.deepEqual((await client.billing.invoices.list(query)).items.map((each) => each.id), [id])
  await refused(outside.updatePaymentStatus(id, { trigger: 'payment_failed' }), 400)
}

async function drafts(customerId) {
  const invoice = await invoiced(customerId)
  const { supplier, customer, lines, workflow } = invoice
  const changed = { supplier, customer, lines, workflow, description: 'May' }
  assert.equal((await client.billing.invoices.update(invoice.id, changed)).description, 'May')
  assert.equal(stateOf(await client.billing.invoices.recalculateTax(invoice.id)), 'draft.syncing')
  assert.equal(await client.billing.invoices.delete(invoice.id), undefined)
  assert.equal(await where(invoice.id), 'deleted')
  await client.apps.update(appId, hooks(false))
}

async function issued(customerId, profileId) {
  await client.billing.customers.createOverride(customerId, { billingProfileId: profileId })
  const { id } = await invoiced(customerId)
  assert.equal(await where(id), 'draft.manual_approval_needed')
  await refused(client.billing.invoices.advance(id), 400)
  await refused(client.billing.invoices.snapshotQuantities(id), 400)
  assert.equal(stateOf(await client.billing.invoices.approve(id)), 'payment_processing.pending')
  await client.apps.customInvoicing.updatePaymentStatus(id, { trigger: 'payment_failed' })
  assert.equal(stateOf(await client.billing.invoices.retry(id)), 'payment_processing.pending')
  const whole = { action: { percentage: 100, action: { type: 'discard' } }, reason: 'wrong' }
  assert.equal((await client.billing.invoices.void(id, whole)).status, 'voided')
}

async function told(ruleId, channelId) {
  // The client has no method to test a rule; the invoices have told enough.
  const events = await client.notifications.events.list({ rule: [ruleId], order: 'ASC' })
  const [{ id }] = events.items
  const state = async () => (await client.notifications.events.get(id)).deliveryStatus[0].state
  await eventually(async () => (await state()) === 'SUCCESS')
  await client.notifications.events.resend(id, { channels: [channelId] })
  await eventually(async () => (await state()) === 'SUCCESS')
  assert.equal(await client.notifications.rules.delete(ruleId), undefined)
  assert.equal(await client.notifications.channels.delete(channelId), undefined)
}

async function farewell(customerId) {
  await refused(client.apps.uninstall(appId), 409)
  assert.equal(await client.customers.apps.delete('jane', appId), undefined)
  await client.billing.customers.deleteOverride(customerId)
  assert.equal(await client.customers.delete(customerId), undefined)
  await refused(client.billing.invoices.get(STRANGER), 404)
  await refused(new OpenMeter({ baseUrl, apiKey: 'wrong' }).apps.list(), 401)
}

await apps()
const profileId = await profiles()
const customerId = await customer()
await overrides(customerId, profileId)
const [ruleId, channelId] = await notifications()
await callbacks(customerId)
await drafts(customerId)
await issued(customerId, profileId)
await told(ruleId, channelId)
await farewell(customerId)
console.log(JSON.stringify(offered(client, '').filter((each) => !called.has(each))))
