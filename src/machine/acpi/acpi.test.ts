import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { viewOf } from '../bytes.ts';
import * as aml from './aml.ts';
import { pirqOf } from './chipset.ts';
import { acpiFirmwareFiles, placeAcpiTables } from './placement.ts';
import * as resource from './resources.ts';
import { type AcpiOptions, buildAcpiTables } from './tables.ts';

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

const options: AcpiOptions = {
  processors: 3,
  lowMemoryEnd: 0x4000_0000,
  window64: { first: 2 ** 35, last: 2 ** 36 - 1 },
  serialPorts: [0, 1],
  keyboardController: true,
  fwCfg: true,
  vga: false,
};

describe('AML encoding', () => {
  test('integers take the shortest form', () => {
    assert.equal(hex(aml.integer(0)), '00');
    assert.equal(hex(aml.integer(1)), '01');
    assert.equal(hex(aml.integer(0xff)), '0a ff');
    assert.equal(hex(aml.integer(0x1234)), '0b 34 12');
    assert.equal(hex(aml.integer(0xfee0_0000)), '0c 00 00 e0 fe');
    assert.equal(hex(aml.integer(2 ** 36 - 1)), '0e ff ff ff ff 0f 00 00 00');
  });

  test('names are padded and prefixed', () => {
    assert.equal(hex(aml.path('A')), '41 5f 5f 5f');
    assert.equal(hex(aml.path('\\_SB.PCI0')), '5c 2e 5f 53 42 5f 50 43 49 30');
    assert.equal(hex(aml.path('^X.Y.Z')), '5e 2f 03 58 5f 5f 5f 59 5f 5f 5f 5a 5f 5f 5f');
    assert.throws(() => aml.path('TOOLONG'), RangeError);
  });

  test('package lengths count themselves, at every size of the encoding', () => {
    assert.equal(hex(aml.buffer([7])), '11 03 01 07');
    for (const length of [0, 50, 59, 60, 61, 62, 63, 64, 4000, 4090, 4095, 5000, 70_000]) {
      const encoded = aml.scope('ABCD', new Uint8Array(length));
      const { start, end } = packageAt(encoded, 1);
      assert.equal(end, encoded.length, `content of ${length} bytes`);
      assert.equal(hex(encoded.subarray(start, start + 4)), '41 42 43 44');
    }
  });

  test('identifiers', () => {
    assert.equal(hex(aml.eisaId('PNP0A08')), '0c 41 d0 0a 08');
    assert.equal(
      hex(aml.uuid('33DB4D5B-1FF7-401C-9657-7441C03DD766')),
      '11 13 0a 10 5b 4d db 33 f7 1f 1c 40 96 57 74 41 c0 3d d7 66',
    );
  });

  test('resources', () => {
    assert.equal(hex(resource.ioPorts(0x3f8, 8)), '47 01 f8 03 f8 03 01 08');
    assert.equal(hex(resource.isaIrq(4)), '22 10 00');
    assert.equal(hex(resource.memory32(0xfed0_0000, 0x400, 'read-only')), '86 09 00 00 00 00 d0 fe 00 04 00 00');
    assert.equal(resource.memoryWindow64(2 ** 35, 2 ** 36 - 1).length, 46);
    assert.equal(hex(resource.resourceTemplate(resource.isaIrq(8))), '11 08 0a 05 22 00 01 79 00');
  });
});

/** Content bounds of the package whose PkgLength starts at `offset`. */
function packageAt(bytes: Uint8Array, offset: number): { start: number; end: number } {
  const lead = bytes[offset];
  const following = lead >> 6;
  let length = following === 0 ? lead & 0x3f : lead & 0x0f;
  for (let index = 1; index <= following; index++) length += bytes[offset + index] * 2 ** (8 * index - 4);
  return { start: offset + 1 + following, end: offset + length };
}

describe('tables', () => {
  const base = 0xe_0000;
  const placed = placeAcpiTables(buildAcpiTables(options), base, 0x2_0000);
  const memory = new Uint8Array(0x2_0000);
  for (const { address, bytes } of placed.writes) memory.set(bytes, address - base);
  const view = viewOf(memory);
  const sum = (address: number, length: number) =>
    memory.subarray(address - base, address - base + length).reduce((total, byte) => (total + byte) & 0xff, 0);
  const u32 = (address: number) => view.getUint32(address - base, true);
  const u64 = (address: number) => Number(view.getBigUint64(address - base, true));
  const signature = (address: number) => String.fromCharCode(...memory.subarray(address - base, address - base + 4));
  const xsdt = u64(base + 24);
  const table = (name: string) => {
    for (let entry = xsdt + 36; entry < xsdt + u32(xsdt + 4); entry += 8)
      if (signature(u64(entry)) === name) return u64(entry);
    return assert.fail(`${name} is not in the XSDT`);
  };

  test('the root pointer leads to every table and all checksums hold', () => {
    assert.equal(placed.rsdpAddress, base);
    assert.equal(signature(base), 'RSD ');
    assert.equal(sum(base, 20), 0);
    assert.equal(sum(base, 36), 0);
    for (const name of ['FACP', 'APIC', 'HPET', 'MCFG', 'WAET'])
      assert.equal(sum(table(name), u32(table(name) + 4)), 0, name);
    assert.equal(sum(xsdt, u32(xsdt + 4)), 0);
  });

  test('the FADT points to FACS and DSDT and names the ICH9 registers', () => {
    const fadt = table('FACP');
    assert.equal(signature(u32(fadt + 36)), 'FACS');
    assert.equal(u32(fadt + 36) % 64, 0);
    assert.equal(signature(u32(fadt + 40)), 'DSDT');
    assert.equal(u64(fadt + 140), u32(fadt + 40));
    assert.equal(sum(u32(fadt + 40), u32(u32(fadt + 40) + 4)), 0);
    assert.deepEqual([u32(fadt + 56), u32(fadt + 64), u32(fadt + 76), u32(fadt + 80)], [0x600, 0x604, 0x608, 0x620]);
    assert.equal(u32(fadt + 120), 0xcf9);
  });

  test('the MADT lists processors, the I/O APIC and the overrides', () => {
    const madt = table('APIC');
    const entries: string[] = [];
    for (let at = madt + 44; at < madt + u32(madt + 4); at += memory[at - base + 1]) {
      entries.push(hex(memory.subarray(at - base, at - base + memory[at - base + 1])));
    }
    assert.deepEqual(entries, [
      '00 08 00 00 01 00 00 00',
      '00 08 01 01 01 00 00 00',
      '00 08 02 02 01 00 00 00',
      '01 0c 00 00 00 00 c0 fe 00 00 00 00',
      '02 0a 00 00 02 00 00 00 00 00',
      '02 0a 00 09 09 00 00 00 0d 00',
      '04 06 ff 00 00 01',
    ]);
  });

  test('APIC identifiers from 255 up use x2APIC entries', () => {
    const many = buildAcpiTables({ ...options, processors: 2, apicIds: [0, 300] });
    const start = many.offsets.APIC! + 44;
    assert.equal(hex(many.bytes.subarray(start + 8, start + 24)), '09 10 00 00 2c 01 00 00 01 00 00 00 01 00 00 00');
  });

  test('MCFG covers all buses of segment 0', () => {
    const mcfg = table('MCFG');
    assert.equal(u64(mcfg + 44), 0xb000_0000);
    assert.equal(u32(mcfg + 52), 0xff00_0000);
  });

  test('too little room is refused', () => {
    assert.throws(() => placeAcpiTables(buildAcpiTables(options), base, 4096), RangeError);
  });

  test('firmware that runs the table loader arrives at the same tables', () => {
    const files = acpiFirmwareFiles(buildAcpiTables(options));
    const loaded = runTableLoader(files, { 'etc/acpi/rsdp': base, 'etc/acpi/tables': base + 64 });
    assert.equal(hex(loaded['etc/acpi/rsdp']), hex(placed.writes[0].bytes));
    assert.equal(hex(loaded['etc/acpi/tables']), hex(placed.writes[1].bytes));
  });
});

/** What SeaBIOS and OVMF do with the script. */
function runTableLoader(
  files: Record<string, Uint8Array>,
  addresses: Record<string, number>,
): Record<string, Uint8Array> {
  const script = files['etc/table-loader'];
  const view = viewOf(script);
  const loaded: Record<string, Uint8Array> = {};
  const text = (offset: number) => String.fromCharCode(...script.subarray(offset, offset + 56)).replace(/\0.*$/s, '');
  for (let at = 0; at < script.length; at += 128) {
    const file = text(at + 4);
    switch (view.getUint32(at, true)) {
      case 1:
        loaded[file] = files[file].slice();
        break;
      case 2: {
        const target = viewOf(loaded[file]);
        const offset = view.getUint32(at + 116, true);
        const source = addresses[text(at + 60)];
        if (script[at + 120] === 4) target.setUint32(offset, target.getUint32(offset, true) + source, true);
        else target.setBigUint64(offset, target.getBigUint64(offset, true) + BigInt(source), true);
        break;
      }
      case 3: {
        const bytes = loaded[file];
        const [offset, start, length] = [60, 64, 68].map((field) => view.getUint32(at + field, true)) as [
          number,
          number,
          number,
        ];
        bytes[offset] = -bytes.subarray(start, start + length).reduce((total, byte) => total + byte, 0) & 0xff;
        break;
      }
      default:
        assert.fail(`unknown command at ${at}`);
    }
  }
  return loaded;
}

test('interrupt pins rotate over PIRQE to PIRQH; device 31 uses A to D', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((slot) => pirqOf(slot, 0)),
    [4, 5, 6, 7, 4],
  );
  assert.equal(pirqOf(2, 3), 5);
  assert.equal(pirqOf(31, 1), 1);
});
