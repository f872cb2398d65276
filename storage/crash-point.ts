// Names the moments around every durable write. Here a name does nothing. Tests run a copy of the built program in which
// this one module is replaced by one that ends its process at a moment chosen by name (docs/crashes.md).

/** Called right before and right after what `name` names is durable. */
export function crashPoint(_name: string): void {}
