import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { TerminalConsole } from './console.ts';

/** A terminal or pipe on either side, and what the console says and receives. */
function bench(isTTY: boolean) {
  const modes: boolean[] = [];
  const input = Object.assign(new PassThrough(), { isTTY, setRawMode: (raw: boolean) => modes.push(raw) });
  const written: string[] = [];
  const output = Object.assign(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        written.push(chunk.toString());
        done();
      },
    }),
    isTTY ? { columns: 100, rows: 40 } : {},
  );
  const events: string[] = [];
  const console = new TerminalConsole(
    {
      quit: () => events.push('quit'),
      input: () => events.push('input'),
      outputLost: (error) => events.push(`lost: ${error.message}`),
    },
    { input, output },
  );
  let received = '';
  console.onReceive((bytes) => {
    received += Buffer.from(bytes).toString();
  });
  return { console, input, output, modes, written, events, received: () => received };
}

describe('on a terminal', () => {
  test('it is in raw mode while open', () => {
    const { console, modes } = bench(true);
    console.open();
    console.close();
    console.close();
    assert.deepEqual(modes, [true, false]);
  });
  test('raw mode comes back after a stop, and ends with the process', () => {
    const { console, modes } = bench(true);
    const listeners = process.listenerCount('exit');
    console.open();
    process.emit('SIGCONT');
    for (const listener of process.listeners('exit').slice(listeners)) listener(0);
    assert.deepEqual(modes, [true, true, false]);
    console.close();
    assert.equal(process.listenerCount('exit'), listeners);
    assert.equal(process.listenerCount('SIGCONT'), 0);
  });
  test('the guest learns the size of the screen, at first and later', () => {
    const { console, output, events } = bench(true);
    const sizes: string[] = [];
    console.onResize((columns, rows) => sizes.push(`${columns}x${rows}`));
    console.open();
    Object.assign(output, { columns: 120, rows: 50 });
    output.emit('resize');
    console.close();
    output.emit('resize');
    assert.deepEqual(sizes, ['100x40', '120x50']);
    assert.deepEqual(events, ['input']);
  });
  test('what is typed reaches the guest, interrupts included', async () => {
    const { console, input, events, received } = bench(true);
    console.open();
    input.write('ls\r\x03');
    await turn();
    assert.equal(received(), 'ls\r\x03');
    assert.deepEqual(events, ['input']);
    console.close();
  });
  test('the escape key takes one more key, wherever the pieces are cut', async () => {
    const { console, input, events, written, received } = bench(true);
    console.open();
    for (const piece of ['a\x01', 'h', 'b\x01\x01c\x01q', '\x01x']) {
      input.write(piece);
      await turn();
    }
    await turn();
    assert.equal(received(), 'ab\x01c');
    assert.deepEqual(events, ['input', 'input', 'quit']);
    assert.match(written.join(''), /Ctrl-A x +quit/);
    console.close();
  });
});

describe('on a pipe', () => {
  test('nothing is an escape key', async () => {
    const { console, input, modes, events, received } = bench(false);
    console.open();
    input.end('\x01x\x01h');
    await turn();
    assert.equal(received(), '\x01x\x01h');
    assert.deepEqual(events, ['input']);
    assert.deepEqual(modes, []);
    console.close();
  });
});

describe('output', () => {
  test('goes out in one piece when the event loop has its turn', async () => {
    const { console, written } = bench(false);
    for (const byte of Buffer.from('hello')) console.send(Uint8Array.of(byte));
    assert.deepEqual(written, []);
    await turn();
    assert.deepEqual(written, ['hello']);
  });
  test('goes out when the console is closed', () => {
    const { console, written } = bench(false);
    console.open();
    console.send(Buffer.from('bye'));
    console.close();
    assert.deepEqual(written, ['bye']);
  });
  test('is dropped once nobody takes it', async () => {
    const { console, output, events } = bench(false);
    console.open();
    output.destroy(new Error('broken pipe'));
    await turn();
    console.send(Buffer.from('too late'));
    await turn();
    assert.deepEqual(events, ['lost: broken pipe']);
    console.close();
  });
});
