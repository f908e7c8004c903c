import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { firstErrorLine } from './command.ts';
import { packageFilePrefix, parseDownloadStatus, parsePackageRecord, parseSimulatedInstall } from './packages.ts';

describe('the package client', () => {
  test('a record gives name, version and dependencies', () => {
    const text = [
      'Package: example-kernel',
      'Architecture: amd64',
      'Version: 1:6.1.2-3',
      'Depends: linux-image-6.1-cloud-amd64 (= 6.1.2-3), kmod | module-init, tools:any',
      'Description: Depends: nothing of this line',
      '',
      'Package: example-kernel',
      'Version: 1:6.0-1',
      '',
    ].join('\n');
    assert.deepEqual(parsePackageRecord(text), {
      name: 'example-kernel',
      version: '1:6.1.2-3',
      depends: ['linux-image-6.1-cloud-amd64', 'kmod', 'tools'],
    });
  });

  test('a record without dependencies, and none at all', () => {
    assert.deepEqual(parsePackageRecord('Package: a\nVersion: 1\n')?.depends, []);
    assert.equal(parsePackageRecord(''), undefined);
    assert.equal(parsePackageRecord('N: Unable to locate package\n'), undefined);
  });

  test('a simulated installation lists packages and versions', () => {
    const text = [
      'Reading package lists...',
      'Inst libgcc-s1 (12.2.0-14 Debian:12.15/oldstable [amd64]) []',
      'Inst cpp:amd64 (4:12.2.0-3 Debian:12.15/oldstable [amd64])',
      'Conf cpp (4:12.2.0-3 Debian:12.15/oldstable [amd64])',
    ].join('\n');
    assert.deepEqual(parseSimulatedInstall(text), [
      { name: 'libgcc-s1', version: '12.2.0-14' },
      { name: 'cpp', version: '4:12.2.0-3' },
    ]);
  });

  test('the percentage is read from status lines only', () => {
    assert.equal(parseDownloadStatus('dlstatus:1:42.9:Retrieving file 1 of 3'), 42);
    assert.equal(parseDownloadStatus('pmstatus:cpp:50.0:Unpacking'), undefined);
  });

  test('a colon in a version is escaped in the file name', () => {
    assert.equal(
      packageFilePrefix({ name: 'busybox-static', version: '1:1.35.0-4+b1' }),
      'busybox-static_1%3a1.35.0-4+b1_',
    );
  });
});

describe('firstErrorLine', () => {
  const line = (errors: string) => firstErrorLine({ status: 100, output: '', errors });

  test('prefers the line that is marked as an error', () => {
    assert.equal(
      line('W: something odd\nE: Failed to fetch file  no route\nE: more\n'),
      'Failed to fetch file  no route',
    );
    assert.equal(line('warning: x\nmain.c:1: error: y\n'), 'main.c:1: error: y');
  });

  test('otherwise the first line, otherwise the status', () => {
    assert.equal(line('\nW: not signed\n'), 'not signed');
    assert.equal(line(''), 'exit status 100');
  });
});
