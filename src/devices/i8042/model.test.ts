import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RecordingLine, TestIoSpace } from '../test-bench.ts';
import { attachI8042 } from './device.ts';
import { COMMAND, I8042, MODE, STATUS } from './model.ts';

function board() {
  const interrupt = new RecordingLine();
  const events: string[] = [];
  const controller = new I8042(interrupt, { a20: (on) => events.push(`a20 ${on}`), reset: () => events.push('reset') });
  const space = new TestIoSpace();
  attachI8042(space, controller);
  const command = (value: number, ...parameters: number[]) => {
    space.out(0x64, value);
    for (const parameter of parameters) space.out(0x60, parameter);
  };
  const drain = () => {
    const bytes: number[] = [];
    while (space.in(0x64) & STATUS.OUTPUT_FULL) bytes.push(space.in(0x60));
    return bytes;
  };
  return { interrupt, events, controller, space, command, drain };
}

describe('controller', () => {
  test('self-test sets the system flag; interface tests tell the keyboard from the missing auxiliary port', () => {
    const { command, drain, space } = board();
    command(COMMAND.SELF_TEST);
    assert.deepEqual(drain(), [0x55]);
    assert.equal(space.in(0x64) & STATUS.SYSTEM_FLAG, STATUS.SYSTEM_FLAG);
    command(COMMAND.TEST_KEYBOARD);
    command(COMMAND.TEST_AUXILIARY);
    assert.deepEqual(drain(), [0x00, 0x01]);
  });

  test('the command byte can be written and read back', () => {
    const { command, drain } = board();
    command(COMMAND.WRITE_RAM, 0x65);
    command(COMMAND.READ_RAM);
    assert.deepEqual(drain(), [0x65]);
  });

  test('the auxiliary loop test comes back unmarked, so drivers find no mouse port', () => {
    const { command, space } = board();
    command(COMMAND.WRITE_AUXILIARY_BUFFER, 0x5a);
    assert.equal(space.in(0x64) & STATUS.AUXILIARY_FULL, 0);
    assert.equal(space.in(0x60), 0x5a);
    command(COMMAND.WRITE_AUXILIARY, 0xff);
    assert.equal(space.in(0x64) & (STATUS.AUXILIARY_FULL | STATUS.TIMEOUT), STATUS.AUXILIARY_FULL | STATUS.TIMEOUT);
  });

  test('resets the processor by pulse and by output port, and gates A20', () => {
    const { command, drain, events } = board();
    command(0xff);
    assert.deepEqual(events, []);
    command(0xfe);
    command(COMMAND.WRITE_OUTPUT_PORT, 0xdd);
    command(COMMAND.READ_OUTPUT_PORT);
    assert.equal(drain()[0] & 0x03, 0x01);
    command(COMMAND.ENABLE_A20);
    command(COMMAND.WRITE_OUTPUT_PORT, 0x02);
    assert.deepEqual(events, ['reset', 'a20 false', 'a20 true', 'reset']);
  });
});

describe('keyboard', () => {
  test('answers reset, identify, lights and echo', () => {
    const { space, drain, controller } = board();
    space.out(0x60, 0xff);
    assert.deepEqual(drain(), [0xfa, 0xaa]);
    space.out(0x60, 0xf2);
    assert.deepEqual(drain(), [0xfa, 0xab, 0x83]);
    space.out(0x60, 0xed);
    space.out(0x60, 0x02);
    assert.deepEqual(drain(), [0xfa, 0xfa]);
    assert.equal(controller.keyboard.indicators, 2);
    space.out(0x60, 0xee);
    assert.deepEqual(drain(), [0xee]);
    space.out(0x60, 0xf0);
    space.out(0x60, 0x00);
    assert.deepEqual(drain(), [0xfa, 0xfa, 0x02]);
    space.out(0x60, 0x01);
    assert.deepEqual(drain(), [0xfe]);
  });

  test('every byte makes an edge on IRQ 1', () => {
    const { space, interrupt, drain } = board();
    space.out(0x60, 0xf2);
    assert.equal(interrupt.edges, 1);
    assert.equal(drain().length, 3);
    assert.equal(interrupt.edges, 3);
    assert.equal(interrupt.level, false);
  });

  test('without the interrupt enabled nothing is raised', () => {
    const { space, command, interrupt, drain } = board();
    command(COMMAND.WRITE_RAM, 0);
    space.out(0x60, 0xf2);
    assert.equal(drain().length, 3);
    assert.equal(interrupt.edges, 0);
  });

  test('keys pass through translation: set 1, releases with the top bit', () => {
    const { command, controller, drain } = board();
    controller.keyboard.sendKey([0x1c]);
    controller.keyboard.sendKey([0xf0, 0x1c]);
    assert.deepEqual(drain(), [0x1c, 0xf0, 0x1c]);
    command(COMMAND.WRITE_RAM, MODE.KEYBOARD_INTERRUPT | MODE.TRANSLATE);
    controller.keyboard.sendKey([0x1c]);
    controller.keyboard.sendKey([0xe0, 0xf0, 0x75]);
    assert.deepEqual(drain(), [0x1e, 0xe0, 0xc8]);
  });

  test('a disabled keyboard keeps its bytes until it is enabled', () => {
    const { command, controller, drain } = board();
    command(COMMAND.DISABLE_KEYBOARD);
    controller.keyboard.sendKey([0x1c]);
    assert.deepEqual(drain(), []);
    command(COMMAND.ENABLE_KEYBOARD);
    assert.deepEqual(drain(), [0x1c]);
  });

  test('buffers are bounded', () => {
    const { controller, space, command } = board();
    for (let index = 0; index < 1000; index++) {
      controller.keyboard.sendKey([0x1c]);
      command(COMMAND.READ_RAM);
      space.out(0x60, 0xf2);
    }
    const state = controller.save();
    assert.ok(state.responses.length <= 32);
    assert.ok(state.keyboard.queue.length <= 64);
  });
});

test('a snapshot continues in the middle of a command', () => {
  const first = board();
  first.space.out(0x60, 0xed);
  first.command(COMMAND.READ_RAM);
  const second = board();
  second.controller.restore(JSON.parse(JSON.stringify(first.controller.save())));
  assert.equal(second.interrupt.level, true);
  assert.deepEqual(second.drain(), first.drain());
  second.space.out(0x60, 0x07);
  assert.equal(second.controller.keyboard.indicators, 7);
});
