/** Kinds of log line a user can ask for (`--log`). */
export type LogTopic = 'unimplemented' | 'exception' | 'interrupt' | 'exit' | 'svm' | 'device' | 'boot' | 'guest-error';

/** Where one-line messages go. Cheap to ask first: build the text only when `enabled(topic)`. */
export interface Log {
  enabled(topic: LogTopic): boolean;
  write(topic: LogTopic, message: string): void;
}

/** Drops everything. */
export const SILENT: Log = { enabled: () => false, write() {} };
