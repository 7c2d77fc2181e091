import { SetMetadata } from '@nestjs/common';

export const IS_PUBLIC = 'access:public';

/** A route that answers without a key. */
export const Public = () => SetMetadata(IS_PUBLIC, true);
