/** An error that the user can act on: its message is one complete line. */
export class BuildError extends Error {
  override name = 'BuildError';
}
