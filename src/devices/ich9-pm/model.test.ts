import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualTimers, RecordingLine, RecordingLog, TestIoSpace } from '../test-bench.ts';
import { attachApm, attachIch9Pm } from './device.ts';
import { APM_COMMAND, Ich9Pm, PM1 } from './model.ts';

const SECOND = 1_000_000_000;

function board() {
  const timers = new ManualTimers();
  const sci = new RecordingLine();
  const log = new RecordingLog();
  const events: string[] = [];
  const pm = new Ich9Pm(timers, sci, { powerOff: () => events.push('off') }, log);
  const space = new TestIoSpace();
  attachIch9Pm(space, pm, 0x600);
  attachApm(space, pm);
  return { timers, sci, log, events, pm, space };
}

test('the PM timer counts 3.579545 MHz in 24 bits', () => {
  const { timers, space } = board();
  timers.advance(SECOND);
  assert.equal(space.in(0x608, 4), 3_579_545);
  timers.advance(4 * SECOND);
  assert.equal(space.in(0x608, 4), (5 * 3_579_545) % 2 ** 24);
});

test('ACPI mode is asked for at the APM port and shows as SCI_EN', () => {
  const { space, log } = board();
  assert.equal(space.in(0x604, 2), 0);
  space.out(0xb2, APM_COMMAND.ACPI_ENABLE);
  assert.equal(space.in(0x604, 2), 1);
  space.out(0x604, 0, 2);
  assert.equal(space.in(0x604, 2), 1, 'SCI_EN cannot be written');
  space.out(0xb2, APM_COMMAND.ACPI_DISABLE);
  assert.equal(space.in(0x604, 2), 0);
  space.out(0xb3, 0x5a);
  assert.equal(space.in(0xb3), 0x5a);
  space.out(0xb2, 0x77);
  assert.match(log.lines[0].message, /SMI command 0x77/);
});

describe('system control interrupt', () => {
  test('the timer overflows when bit 23 changes', () => {
    const { timers, sci, space } = board();
    space.out(0xb2, APM_COMMAND.ACPI_ENABLE);
    space.out(0x602, PM1.TMR, 2);
    timers.advance(2_343_000_000); // bit 23 changes after 2.3435 s
    assert.equal(sci.level, false);
    timers.advance(1_000_000);
    assert.equal(sci.level, true);
    assert.equal(space.in(0x600, 2), PM1.TMR);
    space.out(0x600, PM1.TMR, 2);
    assert.equal(sci.level, false);
    timers.advance(2_344_000_000);
    assert.equal(sci.edges, 2);
  });

  test('an overflow is noticed even while nobody enabled it', () => {
    const { timers, sci, space } = board();
    timers.advance(3 * SECOND);
    assert.equal(sci.level, false);
    assert.equal(space.in(0x600, 2) & PM1.TMR, PM1.TMR);
  });

  test('the power button interrupts only in ACPI mode and when enabled', () => {
    const { sci, space, pm } = board();
    pm.pressPowerButton();
    space.out(0x602, PM1.POWER_BUTTON, 2);
    assert.equal(sci.level, false);
    space.out(0xb2, APM_COMMAND.ACPI_ENABLE);
    assert.equal(sci.level, true);
    space.out(0x601, PM1.POWER_BUTTON >> 8);
    assert.equal(sci.level, false);
    assert.equal(space.in(0x600, 2), 0);
  });

  test('general purpose events', () => {
    const { sci, space, pm } = board();
    space.out(0xb2, APM_COMMAND.ACPI_ENABLE);
    pm.raiseGpe(13);
    assert.equal(space.in(0x620, 4), 0x2000);
    assert.equal(sci.level, false);
    space.out(0x629, 0x20);
    assert.equal(sci.level, true);
    space.out(0x621, 0x20);
    assert.equal(sci.level, false);
  });
});

test('SLP_EN with the type of S5 powers off; other types are logged', () => {
  const { space, events, log } = board();
  space.out(0x604, (1 << 10) | 0x2000, 2);
  assert.deepEqual(events, []);
  assert.match(log.lines[0].message, /sleep type 1/);
  space.out(0x604, 0x2000, 2);
  assert.deepEqual(events, ['off']);
  assert.equal(space.in(0x604, 2) & 0x2000, 0);
});

test('a snapshot restores registers, interrupt and the pending overflow', () => {
  const first = board();
  first.space.out(0xb2, APM_COMMAND.ACPI_ENABLE);
  first.space.out(0x602, PM1.TMR | PM1.POWER_BUTTON, 2);
  first.timers.advance(SECOND);
  first.pm.raiseGpe(3);
  const second = board();
  second.timers.advance(SECOND);
  second.pm.restore(JSON.parse(JSON.stringify(first.pm.save())));
  assert.deepEqual(second.pm.save(), first.pm.save());
  assert.equal(second.sci.level, false);
  second.timers.advance(2 * SECOND);
  assert.equal(second.sci.level, true);
});

test('every byte of the block can be read and written', () => {
  const { space } = board();
  for (let port = 0x600; port < 0x680; port++) {
    if (port === 0x605) continue; // SLP_EN
    space.out(port, 0xff);
    assert.ok(space.in(port) <= 0xff);
  }
});
