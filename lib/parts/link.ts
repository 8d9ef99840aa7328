// Link: a tensor that a part gives to later parts of the same forward pass, beside the residual stream, such as keys and
// values that layers share. Parts declare what they give and take, so that a layer can be computed again from its inputs.

/** Its identity is the object's. */
export interface Link {
  /** What it is, for an error's text. */
  readonly of: string;
}
