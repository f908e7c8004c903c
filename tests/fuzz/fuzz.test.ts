/** A short run of the fuzz job, and whether it would notice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FuzzMachine } from './machine.ts';
import { generateProgram } from './program.ts';
import { report } from './report.ts';
import { compare, STAGES } from './run.ts';

/** Programs run here in each way of forcing regions, other ones in each. */
const SEEDS = Array.from({ length: 6 }, (_, i) => i + 1);
const INSTRUCTIONS = 3000;

const interpreter = new FuzzMachine('interpreter');

describe('interpreter and regions do the same', () => {
  STAGES.forEach(({ engine, limits, elsewhere }, i) => {
    test(`${engine} ${JSON.stringify(limits)}${elsewhere ? ' elsewhere' : ''}`, () => {
      const regions = new FuzzMachine(engine, limits, elsewhere);
      for (const seed of SEEDS.map((n) => n * STAGES.length + i)) {
        const { divergence } = compare(seed, interpreter, regions, INSTRUCTIONS);
        assert.equal(divergence && report(divergence, interpreter, regions), undefined);
      }
      const { statistics } = regions.processor.regions!;
      assert.ok(statistics.regions > 10 * SEEDS.length, `only ${statistics.regions} regions`);
    });
  });
});

test('a seed always makes the same program', () => {
  assert.deepEqual(generateProgram(7).image, generateProgram(7).image);
  assert.notDeepEqual(generateProgram(7).image, generateProgram(8).image);
});

/** Spoils a register in the first run that passes an instruction count. */
class Faulty extends FuzzMachine {
  override run(instructions: number): void {
    const before = this.retired;
    super.run(instructions);
    if (before < 1000 && this.retired >= 1000) this.processor.cpu.gpr[11] ^= 1n;
  }
}

test('a difference is found where it begins, and told with the instructions on the way', () => {
  const faulty = new Faulty('interpreter');
  const { divergence } = compare(3, interpreter, faulty, INSTRUCTIONS);
  assert.ok(divergence);
  const text = report(divergence, interpreter, faulty);
  assert.match(text, /^seed 3, /);
  assert.match(text, /gpr\[11\]/);
  assert.match(text, /^ *999 [0-9a-f]{8}: [0-9a-f]+ +\w+/m);
  assert.match(text, /npm run fuzz -- --seed 3 --instructions 1$/);
});
