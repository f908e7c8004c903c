import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteWriter, encodeUtf8 } from './encode.ts';
import { randomBits, randomNumbers } from './testing/random.ts';

/** LEB128 as the specification defines it, on BigInts. */
function leb128(value: bigint, signed: boolean): number[] {
  const bytes: number[] = [];
  for (;;) {
    const low = Number(value & 0x7fn);
    value >>= 7n;
    const done = signed ? value === ((low & 0x40) !== 0 ? -1n : 0n) : value === 0n;
    if (done) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

function written(write: (writer: ByteWriter) => void): number[] {
  const writer = new ByteWriter(1);
  write(writer);
  return [...writer.toBytes()];
}

describe('ByteWriter', () => {
  test('writes the known LEB128 encodings', () => {
    assert.deepEqual(
      written((w) => w.unsigned(624485)),
      [0xe5, 0x8e, 0x26],
    );
    assert.deepEqual(
      written((w) => w.signed32(-123456)),
      [0xc0, 0xbb, 0x78],
    );
    assert.deepEqual(
      written((w) => w.signed64(-123456, -1)),
      [0xc0, 0xbb, 0x78],
    );
  });

  test('writes random numbers as the definition of LEB128', () => {
    const bits = randomBits(randomNumbers(0xb17e));
    for (let i = 0; i < 2000; i++) {
      const value = BigInt.asIntN(64, bits(64));
      const small = BigInt.asIntN(32, value);
      assert.deepEqual(
        written((w) => w.signed64(Number(small), Number(value >> 32n))),
        leb128(value, true),
      );
      assert.deepEqual(
        written((w) => w.signed32(Number(small))),
        leb128(small, true),
      );
      const safe = BigInt.asUintN(53, value);
      assert.deepEqual(
        written((w) => w.unsigned(Number(safe))),
        leb128(safe, false),
      );
    }
  });

  test('keeps what was written when it grows', () => {
    const writer = new ByteWriter(2);
    for (let i = 0; i < 300; i++) writer.byte(i & 0xff);
    writer.copy(Uint8Array.of(1, 2, 3, 4, 5), 1, 4);
    writer.fixed32(0x8765_4321);
    const bytes = writer.toBytes();
    assert.equal(bytes.length, 307);
    assert.equal(bytes[299], 299 & 0xff);
    assert.deepEqual([...bytes.subarray(300)], [2, 3, 4, 0x21, 0x43, 0x65, 0x87]);
  });

  test('encodes names as UTF-8', () => {
    const text = 'aé€😀';
    assert.deepEqual(encodeUtf8(text), new Uint8Array(new TextEncoder().encode(text)));
    assert.deepEqual(encodeUtf8('\ud800'), Uint8Array.of(0xef, 0xbf, 0xbd));
  });
});
