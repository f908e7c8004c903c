import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualTimers, RecordingLine, TestIoSpace, TestStream } from '../test-bench.ts';
import { attachUart16550 } from './device.ts';
import { FCR, IER, IIR, LCR, LSR, MCR, MSR, REGISTER, Uart16550 } from './model.ts';

const encoder = new TextEncoder();

function uart() {
  const timers = new ManualTimers();
  const interrupt = new RecordingLine();
  const stream = new TestStream();
  const { sent } = stream;
  const model = new Uart16550(timers, interrupt, stream);
  const enable = (ier: number, trigger: 0 | 1 | 2 | 3 = 0) => {
    model.write(REGISTER.IIR_FCR, FCR.ENABLE | (trigger << FCR.TRIGGER_SHIFT));
    model.write(REGISTER.MCR, MCR.DTR | MCR.RTS | MCR.OUT2);
    model.write(REGISTER.IER_DLM, ier);
  };
  const iir = () => model.read(REGISTER.IIR_FCR) & 0x0f;
  const receiveAll = () => {
    let text = '';
    while (model.read(REGISTER.LSR) & LSR.DR) text += String.fromCharCode(model.read(REGISTER.RBR_THR_DLL));
    return text;
  };
  return { timers, interrupt, sent, model, enable, iir, receiveAll };
}

describe('transmitter', () => {
  test('sends at once and is always empty', () => {
    const { model, sent } = uart();
    model.write(REGISTER.RBR_THR_DLL, 0x41);
    assert.deepEqual(sent, [0x41]);
    assert.equal(model.read(REGISTER.LSR), LSR.THRE | LSR.TEMT);
  });

  test('switching ETBEI on raises the THRE interrupt; reading IIR withdraws it; the next byte raises it again', () => {
    const { model, interrupt, enable, iir } = uart();
    enable(IER.ETBEI);
    assert.equal(interrupt.level, true);
    assert.equal(iir(), IIR.THR_EMPTY);
    assert.equal(interrupt.level, false);
    assert.equal(iir(), IIR.NONE);
    model.write(REGISTER.RBR_THR_DLL, 0x42);
    assert.equal(interrupt.level, true);
    assert.equal(interrupt.edges, 2);
  });

  test('each byte gives an edge even when IIR was not read in between', () => {
    const { model, interrupt, enable } = uart();
    enable(IER.ETBEI);
    model.write(REGISTER.RBR_THR_DLL, 1);
    model.write(REGISTER.RBR_THR_DLL, 2);
    assert.equal(interrupt.edges, 3);
  });

  test('writing the same IER again does not raise the interrupt again', () => {
    const { model, interrupt, enable, iir } = uart();
    enable(IER.ETBEI);
    iir();
    model.write(REGISTER.IER_DLM, IER.ETBEI);
    assert.equal(interrupt.level, false);
    model.write(REGISTER.IER_DLM, 0);
    model.write(REGISTER.IER_DLM, IER.ETBEI);
    assert.equal(iir(), IIR.THR_EMPTY);
  });

  test('OUT2 gates the interrupt output but not IIR', () => {
    const { model, interrupt, enable } = uart();
    enable(IER.ETBEI);
    model.write(REGISTER.MCR, MCR.DTR);
    assert.equal(interrupt.level, false);
    model.write(REGISTER.MCR, MCR.OUT2);
    assert.equal(interrupt.level, true);
  });
});

describe('receiver', () => {
  test('interrupts at the trigger level and stops below it', () => {
    const { model, interrupt, enable, iir } = uart();
    enable(IER.ERBFI, 1);
    model.receive(encoder.encode('abc'));
    assert.equal(interrupt.level, false);
    model.receive(encoder.encode('d'));
    assert.equal(iir(), IIR.RECEIVED_DATA);
    assert.equal(model.read(REGISTER.RBR_THR_DLL), 0x61);
    assert.equal(interrupt.level, false);
  });

  test('four silent characters raise the time-out, which a read of RBR clears', () => {
    const { model, timers, interrupt, enable, iir } = uart();
    model.write(REGISTER.LCR, LCR.DLAB);
    model.write(REGISTER.RBR_THR_DLL, 1); // 115200 baud
    model.write(REGISTER.IER_DLM, 0);
    model.write(REGISTER.LCR, 3); // 8N1: 10 bits, 86.8 us a character
    enable(IER.ERBFI, 3);
    model.receive(encoder.encode('ab'));
    timers.advance(347_000);
    assert.equal(interrupt.level, false);
    timers.advance(1_000);
    assert.equal(interrupt.level, true);
    assert.equal(iir(), IIR.CHARACTER_TIMEOUT);
    model.read(REGISTER.RBR_THR_DLL);
    assert.equal(interrupt.level, false);
    timers.advance(400_000);
    assert.equal(iir(), IIR.CHARACTER_TIMEOUT);
    model.read(REGISTER.RBR_THR_DLL);
    timers.advance(1_000_000);
    assert.equal(iir(), IIR.NONE);
  });

  test('takes 16 bytes at a time and loses nothing', () => {
    const { model, enable, receiveAll } = uart();
    enable(0);
    const text = 'The quick brown fox jumps over the lazy dog. '.repeat(20);
    model.receive(encoder.encode(text.slice(0, 100)));
    assert.equal(model.save().receiver.length, 16);
    model.receive(encoder.encode(text.slice(100)));
    assert.equal(receiveAll(), text);
  });

  test('without FIFOs one byte at a time raises the interrupt', () => {
    const { model, iir, interrupt } = uart();
    model.write(REGISTER.MCR, MCR.OUT2);
    model.write(REGISTER.IER_DLM, IER.ERBFI);
    model.receive(encoder.encode('xy'));
    assert.equal(iir(), IIR.RECEIVED_DATA);
    assert.equal(model.save().receiver.length, 1);
    model.read(REGISTER.RBR_THR_DLL);
    assert.equal(interrupt.level, true);
  });

  test('clearing the FIFO returns host bytes to the queue, in order', () => {
    const { model, enable, receiveAll } = uart();
    enable(0);
    model.receive(encoder.encode('0123456789abcdefghij'));
    model.read(REGISTER.RBR_THR_DLL);
    model.write(REGISTER.IIR_FCR, FCR.ENABLE | FCR.CLEAR_RECEIVER);
    assert.equal(receiveAll(), '123456789abcdefghij');
  });

  test('holds input until the guest shows interest: handshake, interrupt or persistent polling', () => {
    const { model, receiveAll } = uart();
    model.receive(encoder.encode('hello'));
    assert.equal(model.read(REGISTER.LSR) & LSR.DR, 0);
    assert.equal(model.read(REGISTER.RBR_THR_DLL), 0);
    model.write(REGISTER.MCR, MCR.RTS);
    assert.equal(receiveAll(), 'hello');
    model.write(REGISTER.MCR, 0);
    model.receive(encoder.encode('!'));
    let polls = 0;
    while (!(model.read(REGISTER.LSR) & LSR.DR)) assert.ok(++polls < 100);
    assert.equal(model.read(REGISTER.RBR_THR_DLL), 0x21);
  });
});

describe('loopback', () => {
  test('returns bytes, sends nothing, keeps host input out', () => {
    const { model, sent, enable, receiveAll } = uart();
    enable(0);
    model.receive(encoder.encode('host'));
    model.write(REGISTER.MCR, MCR.LOOP | MCR.RTS);
    model.write(REGISTER.RBR_THR_DLL, 0xae);
    assert.equal(model.read(REGISTER.RBR_THR_DLL), 0xae);
    model.write(REGISTER.RBR_THR_DLL, 0x11);
    model.write(REGISTER.MCR, MCR.RTS);
    assert.deepEqual(sent, []);
    assert.equal(receiveAll(), 'host');
  });

  test('drives the modem inputs: the presence test of PC software', () => {
    const { model } = uart();
    model.write(REGISTER.MCR, MCR.LOOP | MCR.RTS | MCR.OUT2);
    assert.equal(model.read(REGISTER.MSR) & MSR.LINES, MSR.CTS | MSR.DCD);
    model.write(REGISTER.MCR, 0);
    assert.equal(model.read(REGISTER.MSR), MSR.CTS | MSR.DSR | MSR.DCD | MSR.DDSR);
    assert.equal(model.read(REGISTER.MSR), MSR.CTS | MSR.DSR | MSR.DCD);
  });

  test('overruns, reports it at the highest priority, and keeps the FIFO', () => {
    const { model, enable, iir } = uart();
    enable(IER.ELSI | IER.ERBFI);
    model.write(REGISTER.MCR, MCR.LOOP | MCR.OUT2);
    for (let byte = 0; byte < 17; byte++) model.write(REGISTER.RBR_THR_DLL, byte);
    assert.equal(iir(), IIR.LINE_STATUS);
    assert.equal(model.read(REGISTER.LSR) & LSR.OE, LSR.OE);
    assert.equal(model.read(REGISTER.LSR) & LSR.OE, 0);
    for (let byte = 0; byte < 16; byte++) assert.equal(model.read(REGISTER.RBR_THR_DLL), byte);
  });

  test('modem status interrupt has the lowest priority and clears on the MSR read', () => {
    const { model, enable, iir } = uart();
    enable(IER.EDSSI);
    model.write(REGISTER.MCR, MCR.LOOP | MCR.OUT2 | MCR.OUT1);
    assert.equal(iir(), IIR.MODEM_STATUS);
    assert.equal(model.read(REGISTER.MSR) & MSR.TERI, 0);
    model.write(REGISTER.MCR, MCR.LOOP | MCR.OUT2);
    assert.equal(model.read(REGISTER.MSR) & MSR.TERI, MSR.TERI);
    assert.equal(iir(), IIR.NONE);
  });
});

test('identifies as a 16550A: FIFO bits follow FCR, scratch holds, IER has four bits, DLAB selects the divisor', () => {
  const { model } = uart();
  model.write(REGISTER.SCR, 0x5a);
  assert.equal(model.read(REGISTER.SCR), 0x5a);
  model.write(REGISTER.IER_DLM, 0xff);
  assert.equal(model.read(REGISTER.IER_DLM), 0x0f);
  assert.equal(model.read(REGISTER.IIR_FCR) & 0xc0, 0);
  model.write(REGISTER.IIR_FCR, FCR.ENABLE | 0x20);
  assert.equal(model.read(REGISTER.IIR_FCR) & 0xe0, 0xc0);
  model.write(REGISTER.LCR, LCR.DLAB | 3);
  model.write(REGISTER.RBR_THR_DLL, 0x34);
  model.write(REGISTER.IER_DLM, 0x12);
  assert.equal(model.read(REGISTER.RBR_THR_DLL), 0x34);
  assert.equal(model.read(REGISTER.IER_DLM), 0x12);
  model.write(REGISTER.LCR, 3);
  assert.equal(model.read(REGISTER.IER_DLM), 0x0f);
});

test('a snapshot continues where it was taken, through JSON', () => {
  const first = uart();
  first.enable(IER.ERBFI, 3);
  first.model.receive(encoder.encode('thirty characters of test text'));
  first.model.read(REGISTER.RBR_THR_DLL);
  const second = uart();
  second.model.restore(JSON.parse(JSON.stringify(first.model.save())));
  assert.deepEqual(second.model.save(), first.model.save());
  assert.equal(second.interrupt.level, true);
  assert.equal(second.receiveAll(), 'hirty characters of test text');
});

test('the device sits at its ports and splits wide accesses', () => {
  const ioSpace = new TestIoSpace();
  const stream = new TestStream();
  attachUart16550(ioSpace, new Uart16550(new ManualTimers(), new RecordingLine(), stream), 0x3f8);
  for (const letter of 'ok') ioSpace.out(0x3f8, letter.charCodeAt(0));
  assert.equal(stream.text, 'ok');
  assert.equal(ioSpace.in(0x3fd, 2), 0xb060);
  ioSpace.out(0x3fc, MCR.RTS);
  stream.type('z');
  assert.equal(ioSpace.in(0x3f8), 0x7a);
});
