import { expect, test } from 'vitest'
import { parseSource } from './source.ts'
import { DEFAULT_ENGINE, nameOfSource } from './source-defaults.ts'

test.each([
  ['builtin:tiny', 'llama', 'tiny'],
  ['file:/models/Qwen3 8B.gguf', 'llama', 'qwen3-8b'],
  ['hf:Qwen/Qwen3-8B@main', 'vllm', 'qwen3-8b'],
  ['sim:demo', 'sim', 'demo'],
  ['command:/opt/serve.sh', 'command', 'serve.sh'],
  ['https://llm.example:8443/v1', 'external', 'llm.example'],
  ['https://[::1]:8443/v1', 'external', '1'],
  ['file:/模型.gguf', 'llama', undefined],
])('%s is served by %s and called %s unless somebody says otherwise', (text, engine, name) => {
  const source = parseSource(text)
  if (source.kind === 'invalid') throw new Error(source.message)
  expect(DEFAULT_ENGINE[source.kind]).toBe(engine)
  expect(nameOfSource(source)).toBe(name)
})
