import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RecordingLine, TestIoSpace } from '../test-bench.ts';
import { attachI8042 } from './device.ts';
import { COMMAND, I8042, MODE, STATUS } from './model.ts';
import { BUTTON } from './mouse.ts';

function board() {
  const interrupt = new RecordingLine();
  const auxiliaryInterrupt = new RecordingLine();
  const events: string[] = [];
  const controller = new I8042(interrupt, auxiliaryInterrupt, {
    a20: (on) => events.push(`a20 ${on}`),
    reset: () => events.push('reset'),
  });
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
  /** What the mouse answers to these bytes, each sent and answered alone. */
  const mouse = (...bytes: number[]) =>
    bytes.flatMap((byte) => {
      command(COMMAND.WRITE_AUXILIARY, byte);
      return drain();
    });
  return { interrupt, auxiliaryInterrupt, events, controller, space, command, drain, mouse };
}

describe('controller', () => {
  test('self-test sets the system flag; both interfaces pass their tests', () => {
    const { command, drain, space } = board();
    command(COMMAND.SELF_TEST);
    assert.deepEqual(drain(), [0x55]);
    assert.equal(space.in(0x64) & STATUS.SYSTEM_FLAG, STATUS.SYSTEM_FLAG);
    command(COMMAND.TEST_KEYBOARD);
    command(COMMAND.TEST_AUXILIARY);
    assert.deepEqual(drain(), [0x00, 0x00]);
  });

  test('the command byte can be written and read back', () => {
    const { command, drain } = board();
    command(COMMAND.WRITE_RAM, 0x65);
    command(COMMAND.READ_RAM);
    assert.deepEqual(drain(), [0x65]);
  });

  test('the auxiliary loop test comes back marked, on the interrupt of the auxiliary port', () => {
    const { command, space, interrupt, auxiliaryInterrupt } = board();
    command(COMMAND.WRITE_RAM, MODE.KEYBOARD_INTERRUPT | MODE.AUXILIARY_INTERRUPT | MODE.DISABLE_AUXILIARY);
    command(COMMAND.WRITE_AUXILIARY_BUFFER, 0x5a);
    assert.equal(space.in(0x64) & (STATUS.OUTPUT_FULL | STATUS.AUXILIARY_FULL), 0x21);
    assert.deepEqual([interrupt.edges, auxiliaryInterrupt.edges], [0, 1]);
    command(COMMAND.READ_OUTPUT_PORT);
    assert.equal(space.in(0x60), 0x5a);
    assert.equal(auxiliaryInterrupt.level, false);
    assert.equal(space.in(0x64) & (STATUS.OUTPUT_FULL | STATUS.AUXILIARY_FULL), STATUS.OUTPUT_FULL);
    command(COMMAND.WRITE_KEYBOARD_BUFFER, 0x5a);
    assert.equal(interrupt.edges, 1);
  });

  test('the output port tells whose byte is waiting', () => {
    const waiting = (value: number) => {
      const { controller, command, drain } = board();
      // the answer overtakes nothing: it was formed while the first byte waited
      command(value, 0x5a);
      command(COMMAND.READ_OUTPUT_PORT);
      assert.equal(controller.readData(), 0x5a);
      return drain()[0] & 0x30;
    };
    assert.equal(waiting(COMMAND.WRITE_KEYBOARD_BUFFER), 0x10);
    assert.equal(waiting(COMMAND.WRITE_AUXILIARY_BUFFER), 0x20);
  });

  test('the auxiliary port is disabled and enabled, as the command byte shows', () => {
    const { command, drain } = board();
    const disabled = () => {
      command(COMMAND.READ_RAM);
      return (drain()[0] & MODE.DISABLE_AUXILIARY) !== 0;
    };
    command(COMMAND.ENABLE_AUXILIARY);
    assert.equal(disabled(), false);
    command(COMMAND.DISABLE_AUXILIARY);
    assert.equal(disabled(), true);
    command(COMMAND.WRITE_AUXILIARY, 0xf5);
    drain();
    assert.equal(disabled(), false, 'writing to the mouse enables its clock');
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
      command(COMMAND.WRITE_AUXILIARY, index % 2 ? 0xf4 : 0xf2);
      for (let moves = 0; moves < 8; moves++) controller.mouse.move(1e9, -1e9, Number.NaN, moves);
    }
    const state = controller.save();
    assert.ok(state.responses.length <= 32);
    assert.ok(state.keyboard.queue.length <= 64);
    assert.ok(state.mouse.queue.length <= 16);
    assert.ok(Math.abs(state.mouse.x) < 0x8000);
  });
});

describe('mouse', () => {
  const ENABLE = 0xf4;
  const DISABLE = 0xf5;
  const STATUS_REQUEST = 0xe9;
  const KNOCK = [0xf3, 200, 0xf3, 100, 0xf3, 80];

  test('resets, identifies itself and has defaults', () => {
    const { mouse } = board();
    assert.deepEqual(mouse(0xff), [0xfa, 0xaa, 0x00]);
    assert.deepEqual(mouse(0xf2), [0xfa, 0x00]);
    assert.deepEqual(mouse(STATUS_REQUEST), [0xfa, 0x00, 2, 100]);
  });

  test('status tells mode, reporting, scaling, resolution, sampling rate and buttons', () => {
    const { controller, mouse } = board();
    assert.deepEqual(mouse(0xe7, 0xe8, 3, 0xf3, 40, ENABLE), [0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa]);
    assert.deepEqual(mouse(STATUS_REQUEST), [0xfa, 0x30, 3, 40]);
    mouse(0xe6, 0xf0);
    controller.mouse.move(0, 0, 0, BUTTON.LEFT | BUTTON.MIDDLE);
    assert.deepEqual(mouse(STATUS_REQUEST), [0xfa, 0x66, 3, 40]);
    controller.mouse.move(0, 0, 0, BUTTON.RIGHT);
    assert.deepEqual(mouse(0xea, DISABLE, STATUS_REQUEST), [0xfa, 0xfa, 0xfa, 0x01, 3, 40]);
    assert.deepEqual(mouse(ENABLE, 0xf6, STATUS_REQUEST), [0xfa, 0xfa, 0xfa, 0x01, 2, 100]);
  });

  test('asks again for what it does not know', () => {
    const { mouse } = board();
    assert.deepEqual(mouse(0xe1), [0xfe]);
    assert.deepEqual(mouse(0xe8, 4, 1), [0xfa, 0xfe, 0xfa]);
    assert.deepEqual(mouse(0xf3, 90, 80), [0xfa, 0xfe, 0xfa]);
    assert.deepEqual(mouse(STATUS_REQUEST), [0xfa, 0x00, 1, 80]);
    assert.deepEqual(mouse(0xfe), [0xfa, 0x00, 1, 80]);
    assert.deepEqual(mouse(0xf3, 0xf2), [0xfa, 0xfa, 0x00], 'a command ends the wait for a parameter');
    assert.deepEqual(mouse(80), [0xfe]);
  });

  test('wrap mode echoes all but reset', () => {
    const { mouse } = board();
    assert.deepEqual(mouse(0xee, 0xf4, 0x12, 0xec, 0xf2), [0xfa, 0xf4, 0x12, 0xfa, 0xfa, 0x00]);
    assert.deepEqual(mouse(0xee, 0xff), [0xfa, 0xfa, 0xaa, 0x00]);
  });

  test('reports movement and buttons only when enabled, on IRQ 12', () => {
    const { controller, command, drain, mouse, interrupt, auxiliaryInterrupt } = board();
    controller.mouse.move(1, 1, 0, 0);
    assert.deepEqual(mouse(ENABLE), [0xfa]);
    assert.equal(auxiliaryInterrupt.edges, 0, 'its interrupt is not enabled');
    command(COMMAND.WRITE_RAM, MODE.KEYBOARD_INTERRUPT | MODE.AUXILIARY_INTERRUPT);
    controller.mouse.move(5, -3, 0, BUTTON.LEFT);
    assert.deepEqual(drain(), [0x29, 5, 0xfd]);
    assert.deepEqual([interrupt.edges, auxiliaryInterrupt.edges], [0, 3]);
    controller.mouse.move(0, 0, 0, BUTTON.LEFT);
    assert.deepEqual(drain(), [], 'nothing happened');
    controller.mouse.move(0, 0, 9, 0);
    assert.deepEqual(drain(), [0x08, 0, 0], 'there is no wheel');
    controller.mouse.move(-200, 0, 0, 0);
    assert.deepEqual(drain(), [0x18, 0x81, 0, 0x18, 0xb7, 0]);
    assert.deepEqual(mouse(DISABLE), [0xfa]);
    controller.mouse.move(7, 7, 0, 0);
    assert.deepEqual(drain(), []);
  });

  test('movement that finds no room is added up; a command ends what was being sent', () => {
    const { controller, drain, mouse } = board();
    mouse(ENABLE);
    for (let index = 0; index < 100; index++) controller.mouse.move(1, 0, 0, 0);
    const reports = drain();
    assert.ok(reports.length < 3 * 20);
    assert.equal(
      reports.filter((_, index) => index % 3 === 1).reduce((sum, value) => sum + value),
      100,
    );
    for (let index = 0; index < 2; index++) controller.mouse.move(1, 0, 0, 0);
    assert.deepEqual(mouse(0xf2), [0x08, 0xfa, 0x00]);
  });

  test('scales 2:1 in stream mode, not when data is read', () => {
    const { controller, drain, mouse } = board();
    mouse(0xe7, ENABLE);
    const scaled = [1, 2, 3, 4, 5, 6, 127, -2, -6].map((count) => {
      controller.mouse.move(count, 0, 0, 0);
      return drain()[1];
    });
    assert.deepEqual(scaled, [1, 1, 3, 6, 9, 12, 254, 0xff, 0xf4]);
    mouse(0xf0);
    controller.mouse.move(6, 0, 0, 0);
    assert.deepEqual(drain(), [], 'remote mode waits to be asked');
    assert.deepEqual(mouse(0xeb), [0xfa, 0x08, 6, 0]);
    assert.deepEqual(mouse(0xeb), [0xfa, 0x08, 0, 0]);
  });

  test('the knock of the IntelliMouse turns on the wheel, until reset', () => {
    const { controller, drain, mouse } = board();
    mouse(0xf3, 200, 0xf3, 200, 0xf3, 80);
    assert.deepEqual(mouse(0xf2), [0xfa, 0x00]);
    mouse(...KNOCK);
    assert.deepEqual(mouse(0xf2), [0xfa, 0x03]);
    mouse(ENABLE);
    controller.mouse.move(1, 2, -1, 0);
    assert.deepEqual(drain(), [0x08, 1, 2, 0xff]);
    controller.mouse.move(0, 0, 9, BUTTON.MIDDLE);
    assert.deepEqual(drain(), [0x0c, 0, 0, 7, 0x0c, 0, 0, 2]);
    assert.deepEqual(mouse(0xff, 0xf2), [0xfa, 0xaa, 0x00, 0xfa, 0x00]);
  });

  test('a disabled port keeps its bytes; translation leaves them alone', () => {
    const { controller, command, drain, mouse } = board();
    mouse(ENABLE);
    command(COMMAND.WRITE_RAM, MODE.TRANSLATE | MODE.DISABLE_AUXILIARY);
    controller.mouse.move(0x1c, 0, 0, 0);
    assert.deepEqual(drain(), []);
    command(COMMAND.ENABLE_AUXILIARY);
    assert.deepEqual(drain(), [0x08, 0x1c, 0]);
  });

  test('a snapshot continues in the middle of a knock and a report', () => {
    const first = board();
    first.command(COMMAND.WRITE_RAM, MODE.AUXILIARY_INTERRUPT);
    first.mouse(ENABLE, ...KNOCK.slice(0, -1));
    const second = board();
    second.controller.restore(JSON.parse(JSON.stringify(first.controller.save())));
    assert.deepEqual(second.mouse(80, 0xf2), [0xfa, 0xfa, 0x03]);
    second.controller.mouse.move(300, 1, 1, BUTTON.RIGHT);
    assert.equal(second.space.in(0x60), 0x0a);
    const third = board();
    third.controller.restore(JSON.parse(JSON.stringify(second.controller.save())));
    assert.equal(third.auxiliaryInterrupt.level, true);
    assert.deepEqual(third.controller.save(), second.controller.save());
    assert.deepEqual(third.drain(), [127, 1, 1, 0x0a, 127, 0, 0, 0x0a, 46, 0, 0]);
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
