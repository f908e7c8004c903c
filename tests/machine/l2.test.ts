/** The pair that the product is about: a Linux with KVM, and the Linux that it boots in turn. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { bootLinux, guestsOrReason, type LinuxRun, WITHIN_LIMIT } from './linux.ts';

const guests = await guestsOrReason();

describe('L1 with virtualization extensions', { skip: typeof guests === 'string' && guests }, () => {
  let run: LinuxRun;
  before(async () => {
    // without MSI: the entropy device interrupts by its pin
    run = await bootLinux({
      guests,
      exposeVirtualization: true,
      append: 'pci=nomsi',
      steps: {
        flags: 'for flag in svm npt; do grep -q -w $flag /proc/cpuinfo && echo $flag; done',
        l2: 'l2; echo "status $?"',
        interrupts: "awk '/fasteoi.*virtio0/ { print ($2 > 0) }' /proc/interrupts",
      },
    });
  }, WITHIN_LIMIT);

  test('shows AMD-V with nested paging', () => {
    assert.deepEqual(run.lines('flags'), ['svm', 'npt']);
  });
  test('boots L2 to its end', () => {
    const lines = run.lines('l2');
    assert.ok(lines.includes('L1: KVM is ready (AMD-V)'), lines.join('\n'));
    assert.ok(
      lines.some((line) => line.startsWith('L2| TESTUDO-L2-READY')),
      lines.join('\n'),
    );
    assert.equal(lines.at(-1), 'status 0');
  });
  test('gets PCI interrupts by pin where it wants no messages', () => {
    assert.deepEqual(run.lines('interrupts'), ['1']);
  });
  test('powers off', () => {
    assert.equal(run.exit, 'power-off', run.console);
  });
});
