import type { Request } from 'express';
import { isUiRequest } from './ui-request.schema.js';

const ROUTES = /^\/v1\/chat\/ui(\/|$)|^\/api\/chat\/[^/]+\/(stream|stop)\/?$/;
const SHARED_ROUTE = /^\/api\/chat\/?$/;

/** Whether a request is of the AI SDK's clients: `useChat` shows a failure's body to its user. */
export function isOfUI({ path, body }: Request): boolean {
  return ROUTES.test(path) || (SHARED_ROUTE.test(path) && isUiRequest(body));
}
