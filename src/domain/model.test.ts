import { expect, it } from 'vitest'
import { ModelSpec } from './model.ts'

it('lets a model name no variable of the gateway but one that says it is an API key', () => {
  const spec = { source: 'https://api.example.com/v1', engine: 'external' }
  expect(ModelSpec.safeParse({ ...spec, externalKeyEnv: 'EXAMPLE_API_KEY' }).success).toBe(true)
  for (const externalKeyEnv of [
    'AWS_SECRET_ACCESS_KEY',
    'HF_TOKEN',
    'PATH',
    'X_API_KEY\nY_API_KEY',
    '_API_KEY',
  ]) {
    expect(ModelSpec.safeParse({ ...spec, externalKeyEnv }).success, externalKeyEnv).toBe(false)
  }
})
