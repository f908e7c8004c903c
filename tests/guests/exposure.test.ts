/** The switch "expose virtualization extensions": what a guest sees with it off and on. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EFER } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';
import { useVirtualization } from './harness.ts';
import { longMode } from './library.ts';

const { UD, GP } = Vector;
/** CPUID 8000_0001h ECX, and 1 ECX. */
const SVM = 1n << 2n;
const VMX = 1n << 5n;
const VM_CR_LOCK = 8n;
const VM_CR_SVMDIS = 16n;

const registersAfter = (text: string) => {
  const guest = longMode(`${text}\nhlt`).halt();
  return {
    eax: guest.register('eax'),
    ebx: guest.register('ebx'),
    ecx: guest.register('ecx'),
    edx: guest.register('edx'),
  };
};

describe('off', () => {
  test('CPUID shows neither SVM nor VMX', () => {
    useVirtualization(false);
    assert.equal(registersAfter('mov eax, 0x80000001\ncpuid').ecx & SVM, 0n);
    assert.equal(registersAfter('mov eax, 1\ncpuid').ecx & VMX, 0n);
    const leaf = registersAfter('mov eax, 0x8000000a\ncpuid');
    assert.deepEqual(leaf, { eax: 0n, ebx: 0n, ecx: 0n, edx: 0n });
  });
  test('EFER.SVME cannot be set', () => {
    longMode('mov ecx, 0xc0000080\nrdmsr\nbts eax, 12\nhere: wrmsr').expectException({
      vector: GP,
      errorCode: 0,
      at: 'here',
    });
  });
  test('the instructions are undefined', () => {
    for (const name of ['vmrun', 'vmload', 'vmsave', 'stgi', 'clgi', 'invlpga', 'vmmcall', 'vmcall']) {
      longMode(`here: ${name}`, { efer: EFER.SVME }).expectException({ vector: UD, at: 'here' });
    }
    longMode('here: db 0xf3, 0x0f, 0xc7, 0x30').expectException({ vector: UD, at: 'here' });
  });
  test('VM_CR says that SVM is disabled, and is locked', () => {
    assert.equal(
      registersAfter('mov ecx, 0xc0010114\nrdmsr').eax & (VM_CR_LOCK | VM_CR_SVMDIS),
      VM_CR_LOCK | VM_CR_SVMDIS,
    );
  });
  test('VM_HSAVE_PA does not exist', () => {
    longMode('mov ecx, 0xc0010117\nhere: rdmsr').expectException({ vector: GP, errorCode: 0, at: 'here' });
  });
});

describe('on', () => {
  test('CPUID shows SVM, its revision and its features', () => {
    useVirtualization(true);
    assert.equal(registersAfter('mov eax, 0x80000001\ncpuid').ecx & SVM, SVM);
    const leaf = registersAfter('mov eax, 0x8000000a\ncpuid');
    assert.equal(leaf.eax & 0xffn, 1n);
    assert.ok(leaf.ebx > 1n, 'ASIDs');
    // nested paging, NRIP save, decode assists (APM vol. 3 E.4.9)
    for (const bit of [0n, 3n, 7n]) assert.equal((leaf.edx >> bit) & 1n, 1n, `bit ${bit}`);
  });
  test('VM_CR leaves it enabled', () => {
    assert.equal(registersAfter('mov ecx, 0xc0010114\nrdmsr').eax & VM_CR_SVMDIS, 0n);
  });
});
