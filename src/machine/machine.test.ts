import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EngineKind } from '../cpu/processor.ts';
import { testMachine } from './testing.ts';

const POWER_OFF = `
  mov dx, PM1_CONTROL
  mov ax, SLEEP_S5
  out dx, ax
  stop: jmp stop`;

const debugExit = (value: string) => `
  mov eax, ${value}
  out DEBUG_EXIT, eax
  ended: jmp ended`;

/** Takes the 8259A pair and a timer interrupt at vector 20h; `handler` runs at each tick of the PIT, ${'`ticks`'} counts them. */
const timer = (divisor: number) => `
  ; gates for vector 20h
  mov eax, tick
  mov word ptr [0x6000 + 0x100], ax
  mov word ptr [0x6000 + 0x102], 0x10
  mov word ptr [0x6000 + 0x104], 0x8e00
  shr eax, 16
  mov word ptr [0x6000 + 0x106], ax
  mov word ptr [0x5ff0], 0x7ff
  mov dword ptr [0x5ff2], 0x6000
  lidt [0x5ff0]
  ; 8259A: vectors 20h and 28h, only IRQ 0
  mov al, 0x11
  out 0x20, al
  out 0xa0, al
  mov al, 0x20
  out 0x21, al
  mov al, 0x28
  out 0xa1, al
  mov al, 4
  out 0x21, al
  mov al, 2
  out 0xa1, al
  mov al, 1
  out 0x21, al
  out 0xa1, al
  mov al, 0xfe
  out 0x21, al
  mov al, 0xff
  out 0xa1, al
  ; local APIC on, LINT0 takes the 8259A
  mov dword ptr [0xfee000f0], 0x1ff
  mov dword ptr [0xfee00350], 0x700
  ; 8254: counter 0, rate generator
  mov al, 0x34
  out 0x43, al
  mov al, ${divisor & 0xff}
  out 0x40, al
  mov al, ${divisor >> 8}
  out 0x40, al
  xor ebx, ebx
  jmp main
  tick:
  inc ebx
  push eax
  mov al, 0x20
  out 0x20, al
  pop eax
  iretd
  main:`;

/** Instructions of {@link timer} and a few more: what a guest that sleeps between its ticks executes at most. */
const FEW_INSTRUCTIONS = 500;

describe('the guest ends the run', () => {
  test('it prints, and powers off by ACPI S5', async () => {
    const { machine, serial } = testMachine(`
      mov esi, text
      call print
      ${POWER_OFF}
      text: ascii "hello"
      db 13, 10, 0`);
    assert.deepEqual(await machine.run(), { kind: 'power-off' });
    assert.equal(serial.text, 'hello\r\n');
  });
  test('by the debug-exit port', async () => {
    assert.deepEqual(await testMachine(debugExit('0x2a')).machine.run(), { kind: 'debug-exit', value: 0x2a });
  });
  const RESETS: Readonly<Record<string, string>> = {
    'the reset control register': 'mov dx, RESET_CONTROL\nmov al, 6\nout dx, al',
    'the keyboard controller': 'mov al, 0xfe\nout 0x64, al',
    'port 92h': 'mov al, 3\nout 0x92, al',
    'INIT to itself': 'mov dword ptr [0xfee00300], 0x44500',
    'a triple fault': 'mov word ptr [0x5000], 0\nlidt [0x5000]\nud2',
  };
  for (const [name, code] of Object.entries(RESETS)) {
    test(`a reset by ${name}`, async () => {
      const exit = await testMachine(`${code}\nagain: jmp again`).machine.run();
      assert.equal(exit.kind, 'reset');
    });
  }
});

describe('what firmware leaves behind', () => {
  test('the x87 unit is initialized', async () => {
    const { machine } = testMachine(`
      fldz
      fnstsw ax
      and eax, 0x7f       ; no exception: the stack was empty
      fnstcw [0x5000]
      add ax, [0x5000]
      ${debugExit('eax')}`);
    assert.deepEqual(await machine.run(), { kind: 'debug-exit', value: 0x37f });
  });
  test('interrupts of the 8259A pair are masked', async () => {
    const { machine } = testMachine(`
      in al, 0xa1
      mov ah, al
      in al, 0x21
      movzx eax, ax
      ${debugExit('eax')}`);
    assert.deepEqual(await machine.run(), { kind: 'debug-exit', value: 0xfffb });
  });
});

test('a reset starts the kernel anew, in zeroed memory', async () => {
  // counts its starts in CMOS, which a reset leaves alone, and leaves a mark in memory
  const { machine, serial, log } = testMachine(
    `
    mov eax, [0x200000]
    test eax, eax
    jnz dirty
    mov dword ptr [0x200000], 1
    mov al, 0x50
    out 0x70, al
    in al, 0x71
    inc al
    out 0x71, al
    cmp al, 3
    jae finished
    mov esi, text
    call print
    mov dx, RESET_CONTROL
    mov al, 6
    out dx, al
    hang: jmp hang
    dirty: ${debugExit('1')}
    finished: ${POWER_OFF}
    text: ascii "again "
    db 0`,
    { rebootOnReset: true },
  );
  assert.deepEqual(await machine.run(), { kind: 'power-off' });
  assert.equal(serial.text, 'again again ');
  assert.deepEqual(log, ['boot: reset: reset by the guest', 'boot: reset: reset by the guest']);
});

describe('waiting', () => {
  test('HLT ends with a timer interrupt; the virtual clock skips the time between', async () => {
    const { machine } = testMachine(`${timer(11932)}
      sti
      sleep: hlt
      cmp ebx, 5
      jb sleep
      ${debugExit('ebx')}`);
    assert.deepEqual(await machine.run(), { kind: 'debug-exit', value: 5 });
    assert.ok(machine.retired < FEW_INSTRUCTIONS, `${machine.retired} instructions`);
    assert.ok(Math.abs(machine.time - 50_000_000) < 100_000, `${machine.time} ns for five ticks of 10 ms`);
  });
  test('the real clock sleeps the time between', async () => {
    const { machine, host } = testMachine(
      `${timer(11932)}
      sti
      sleep: hlt
      cmp ebx, 3
      jb sleep
      ${debugExit('ebx')}`,
      { clock: 'real' },
    );
    assert.deepEqual(await machine.run(), { kind: 'debug-exit', value: 3 });
    const slept = host.sleeps.reduce((sum, time) => sum + time, 0);
    assert.ok(slept > 29_000_000 && slept < 30_000_000, `${slept} ns`);
  });
  test('timer interrupts arrive while the guest computes', async () => {
    const { machine } = testMachine(`${timer(1193)}
      sti
      compute: cmp ebx, 4
      jb compute
      ${debugExit('ebx')}`);
    assert.deepEqual(await machine.run(), { kind: 'debug-exit', value: 4 });
    assert.ok(machine.time > 3_990_000 && machine.time < 4_100_000, `${machine.time} ns`);
  });
  for (const engine of ['auto', 'interpreter'] as const) {
    test(`no tick is lost by a guest that watches the clock (${engine} engine)`, async () => {
      // 20 ms by the time stamp counter, of a timer that ticks every 2 ms; after a stretch that runs fast
      const { machine } = testMachine(
        `${timer(2386)}
        mov ecx, 3000000
        fast: loop fast
        sti
        rdtsc
        mov esi, eax
        xor ebx, ebx
        watch: rdtsc
        sub eax, esi
        cmp eax, 40000000
        jb watch
        ${debugExit('ebx')}`,
        { clock: 'real', engine },
      );
      const exit = await machine.run();
      assert.ok(exit.kind === 'debug-exit');
      assert.ok(exit.value >= 9 && exit.value <= 11, `${exit.value} ticks`);
    });
  }
  for (const clock of ['virtual', 'real'] as const) {
    test(`a processor halted for good is reported once and the host goes on (${clock} clock)`, async () => {
      const { machine, host, log } = testMachine('cli\nhlt', { clock });
      host.onTurn = () => {
        if (host.sleeps.length === 5) machine.stop();
      };
      assert.deepEqual(await machine.run(), { kind: 'stopped' });
      assert.deepEqual(
        log.filter((line) => line.includes('halted for good')),
        ['guest-error: processor halted for good: interrupts are disabled at RIP 100027h'],
      );
    });
  }
  test('timers that interrupt nobody do not keep the host from its turn', async () => {
    // the PIT is masked, but the real-time clock's periodic interrupt keeps expiring at 8 kHz
    const { machine, host } = testMachine(`
      mov al, 0x0a
      out 0x70, al
      mov al, 0x23
      out 0x71, al
      mov al, 0x0b
      out 0x70, al
      mov al, 0x42
      out 0x71, al
      mov al, 0xff
      out 0x21, al
      out 0xa1, al
      sti
      sleep: hlt
      jmp sleep`);
    host.onTurn = () => {
      if (host.turns + host.sleeps.length === 3) machine.stop();
    };
    assert.deepEqual(await machine.run(), { kind: 'stopped' });
  });
  test('a guest that never stops computing does not keep the host from its turn', async () => {
    for (const clock of ['virtual', 'real'] as const) {
      const { machine, host } = testMachine('compute: jmp compute', { clock });
      host.onTurn = () => {
        if (host.turns === 2) machine.stop();
      };
      assert.deepEqual(await machine.run(), { kind: 'stopped' });
    }
  });
  test('nor does one whose exception handler only raises the exception again', async () => {
    for (const clock of ['virtual', 'real'] as const) {
      const { machine, host } = testMachine(
        `mov eax, handler
        mov word ptr [0x6030], ax
        mov word ptr [0x6032], cs
        mov word ptr [0x6034], 0x8e00
        shr eax, 16
        mov word ptr [0x6036], ax
        mov word ptr [0x5ff0], 0x7ff
        mov dword ptr [0x5ff2], 0x6000
        lidt [0x5ff0]
        ; where nothing is, there is no end to the stack
        mov esp, 0xd0000000
        handler: ud2`,
        { clock },
      );
      host.onTurn = () => {
        if (host.turns === 2) machine.stop();
      };
      assert.deepEqual(await machine.run(), { kind: 'stopped' });
      assert.ok(machine.retired < FEW_INSTRUCTIONS);
    }
  });
  test('stop before run ends it at once', async () => {
    const { machine } = testMachine('compute: jmp compute');
    machine.stop();
    assert.deepEqual(await machine.run(), { kind: 'stopped' });
    assert.equal(machine.retired, 0);
  });
});

test('input from the host reaches the guest while the host has its turn', async () => {
  const { machine, host, serial } = testMachine(`
    mov dx, 0x3fd
    wait: in al, dx
    test al, 1
    jz wait
    mov dx, COM1
    in al, dx
    movzx eax, al
    ${debugExit('eax')}`);
  host.onTurn = () => serial.type('A');
  assert.deepEqual(await machine.run(), { kind: 'debug-exit', value: 0x41 });
});

describe('repeatable runs', () => {
  const BUSY = (seed: number) => `${timer(1000)}
    sti
    mov edi, 0x200000
    fill: rdtsc
    add eax, ebx
    add eax, ${seed}
    rdrand ecx
    xor eax, ecx
    stosd
    cmp edi, 0x240000
    jb fill
    sleep: hlt
    cmp ebx, 20
    jb sleep
    ${POWER_OFF}`;
  const outcome = async (seed: number, engine: EngineKind = 'auto') => {
    const { machine } = testMachine(BUSY(seed), { engine });
    await machine.run();
    return { hash: machine.snapshotHash(), retired: machine.retired, time: machine.time };
  };
  test('the same kernel does the same', async () => {
    assert.deepEqual(await outcome(1), await outcome(1));
  });
  test('whether it is compiled or interpreted makes no difference', async () => {
    assert.deepEqual(await outcome(1, 'auto'), await outcome(1, 'interpreter'));
  });
  test('the hash notices a difference', async () => {
    const [a, b] = [await outcome(1), await outcome(2)];
    assert.equal(a.retired, b.retired);
    assert.notEqual(a.hash, b.hash);
  });
});
