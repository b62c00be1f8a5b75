/** A call that an engine answers. */
export interface InferenceRoute {
  readonly path: string
  /** Below the upstream's base path. */
  readonly upstreamPath: string
  /** Label in metrics and logs. */
  readonly label: string
}

export const INFERENCE_ROUTES: ReadonlyMap<string, InferenceRoute> = new Map(
  [
    { path: '/v1/chat/completions', upstreamPath: '/chat/completions', label: 'chat_completions' },
    { path: '/v1/completions', upstreamPath: '/completions', label: 'completions' },
    { path: '/v1/embeddings', upstreamPath: '/embeddings', label: 'embeddings' },
  ].map((route) => [route.path, route]),
)
