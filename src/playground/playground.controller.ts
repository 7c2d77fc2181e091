import { Controller, Get, Inject, Next, Param, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { NextFunction, Request, Response } from 'express';
import { Public } from '../access/public.decorator.js';
import type { Asset } from './assets.js';
import type { Playground } from './page.js';

export const PLAYGROUND = Symbol('playground');

/** The page for people at `/`. Clients that are none get what is there without it. */
@Public()
@ApiExcludeController()
@Controller()
export class PlaygroundController {
  constructor(@Inject(PLAYGROUND) private readonly playground: Playground | undefined) {}

  @Get()
  page(@Req() request: Request, @Res() response: Response, @Next() next: NextFunction) {
    // Ollama's clients accept anything, and look for a line of text.
    const isBrowser = request.accepts(['text', 'html']) === 'html';
    response.vary('Accept');
    if (!this.playground || !isBrowser) {
      next();
      return;
    }
    const { page, policy } = this.playground;
    response.set({ 'Content-Security-Policy': policy, 'Cache-Control': 'no-cache' });
    send(page, response);
  }

  @Get('playground/:version/*path')
  asset(
    @Param('version') version: string,
    @Param('path') path: string[],
    @Res() response: Response,
    @Next() next: NextFunction,
  ) {
    const asset = this.playground?.assets.get(path.join('/'));
    if (!asset) {
      next();
      return;
    }
    // The page of another version is served by what is here, but not for good.
    const isCurrent = version === this.playground?.version;
    const caching = isCurrent ? 'public, max-age=31536000, immutable' : 'no-cache';
    response.set('Cache-Control', caching);
    send(asset, response);
  }
}

function send({ type, body, gzip, etag }: Asset, response: Response) {
  response.vary('Accept-Encoding');
  response.set({ 'Content-Type': type, ETag: etag });
  const isGzip = response.req.acceptsEncodings(['gzip', 'identity']) === 'gzip';
  if (isGzip) response.set('Content-Encoding', 'gzip');
  response.send(isGzip ? gzip : body);
}
