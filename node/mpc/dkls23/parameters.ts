// Numbers of DKLs23 (ePrint 2023/765) as this network fixes them. Changing one changes messages and takes new tags.

/** lambda_c: base transfers in each direction, bits of Delta, bits of the field of the consistency check. */
export const BASE_TRANSFERS = 128;

/** Bytes of Delta, and of one row of an extension. */
export const ROW_LENGTH = BASE_TRANSFERS / 8;

/** xi = 256 + 2 * 80: length of the gadget for a statistical parameter of 80. Rows that become products. */
export const GADGET_LENGTH = 416;

/** Rows of an extension that can carry transfers: the gadget's, padded to whole blocks of `BASE_TRANSFERS`. */
export const TRANSFER_ROWS = 512;

/** All rows: one more block of random choices hides the others in the consistency check. */
export const EXTENSION_ROWS = TRANSFER_ROWS + BASE_TRANSFERS;

/** Bytes of one column of an extension, and of its choices. */
export const COLUMN_LENGTH = EXTENSION_ROWS / 8;

/** Bytes of a key that comes out of a base transfer. */
export const BASE_KEY_LENGTH = 32;

/** Bytes of a product id. */
export const PRODUCT_ID_LENGTH = 32;

/** Scalars of a pad: two products (l = 2) and one check (rho = 1). */
export const PAD_SCALARS = 3;

/** Bytes that are reduced to one scalar: 128 bits longer than the order, so that the bias is below 2^-128. */
export const WIDE_SCALAR_LENGTH = 48;
