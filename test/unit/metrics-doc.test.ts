// docs/metrics.md and the alert rules against the metrics that the processes really have.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { parse } from 'yaml';
import * as z from 'zod';
import { definitions, metricsDoc, rowOf, rowsInDoc, tables } from '../support/metrics-doc.ts';

const alertsFile = fileURLToPath(new URL('../../configs/prometheus-alerts.yaml', import.meta.url));

const ruleSchema = z.strictObject({
  alert: z.string().regex(/^Countersign[A-Za-z]+$/),
  expr: z.string().min(1),
  for: z
    .string()
    .regex(/^[0-9]+[smh]$/)
    .optional(),
  labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
  annotations: z.strictObject({ summary: z.string().min(20) }),
});
const alertsSchema = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(ruleSchema).min(1) })).min(4),
});

const all = Object.values(definitions()).flat();

/** The metric that a name in an expression is of: a histogram has three series. */
function metricOf(series: string) {
  const suffix = /_(bucket|sum|count)$/;
  return all.find(
    ({ name, type }) => name === series || (type === 'histogram' && name === series.replace(suffix, '')),
  );
}

describe('docs/metrics.md', () => {
  before(async () => {
    if (process.env['WRITE_DOCS'] !== '1') return;
    const head = readFileSync(metricsDoc, 'utf8').split(/^## /m, 1)[0]!;
    const options = { ...(await resolveConfig(metricsDoc)), filepath: metricsDoc };
    writeFileSync(metricsDoc, await format(`${head}${tables()}`, options));
  });

  for (const [process, defined] of Object.entries(definitions())) {
    it(`describes every metric of the ${process}, and no other`, async () => {
      const rows = rowsInDoc()[process as keyof ReturnType<typeof rowsInDoc>];
      const spaces = (row: readonly string[]): string => row.join(' | ').replaceAll(/[*_]{1}(?=\w)/g, '_');
      assert.deepEqual(
        rows.map(spaces),
        defined.map((definition) => spaces(rowOf(definition))),
        'write it anew: WRITE_DOCS=1 npx mocha test/unit/metrics-doc.test.ts',
      );
    });
  }
});

describe('metrics', () => {
  it('are named by process, what and unit, with labels and words for each', () => {
    assert.ok(all.length > 60, String(all.length));
    for (const { name, type, labels, meaning, worry } of all) {
      assert.match(name, /^countersign_(coordinator|connector|node)(_[a-z]+)+$/);
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      if (type === 'histogram') assert.match(name, /_seconds$/);
      // Base units, and ids of nothing that comes without end.
      assert.doesNotMatch(name, /_(ms|milliseconds|minutes|kb|mb|kib|mib|percent)(_|$)/);
      for (const label of labels)
        assert.doesNotMatch(label, /request|attempt|session|result|credential|key$/);
      assert.ok(meaning.length > 20 && worry.length > 5, name);
    }
    assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  });
});

describe('configs/prometheus-alerts.yaml', () => {
  const { groups } = alertsSchema.parse(parse(readFileSync(alertsFile, 'utf8')));
  const rules = groups.flatMap((group) => group.rules);

  it('names no metric and no label that does not exist', () => {
    let named = 0;
    for (const { alert, expr } of rules) {
      const series = expr.match(/\bcountersign_[a-z_]+(?![a-z_"(|)])/g) ?? [];
      for (const name of series.filter((candidate) => candidate !== 'countersign_')) {
        const metric = metricOf(name);
        assert.ok(metric, `${alert}: there is no metric ${name}`);
        named += 1;
        const selectors = new RegExp(`${name}\\{([^}]*)\\}`, 'g');
        for (const [, selector = ''] of expr.matchAll(selectors)) {
          for (const [, label = ''] of selector.matchAll(/(\w+)\s*[=!]/g))
            assert.ok(metric.labels.includes(label), `${alert}: ${name} has no label ${label}`);
        }
      }
    }
    assert.ok(named >= 25, `${named} metrics are named`);
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  });

  it('has balanced expressions', () => {
    for (const { alert, expr } of rules) {
      const bare = expr.replaceAll(/"[^"]*"/g, '""');
      for (const [open, close] of ['()', '{}', '[]'] as const)
        assert.equal(bare.split(open!).length, bare.split(close!).length, `${alert}: ${open}${close}`);
    }
  });
});
