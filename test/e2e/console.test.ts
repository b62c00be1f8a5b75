import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Dev, freshDir, until } from './yard.ts'

const CHROMIUM = '/usr/bin/chromium'
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const found = existsSync(CHROMIUM)
if (!found) console.warn(`SKIPPED: the console's tests need ${CHROMIUM} (apt-get install chromium)`)

describe.skipIf(!found)('the console', () => {
  const dir = freshDir()
  /** What the browser complained about, but for the answers that a test asked for. */
  const complaints: string[] = []
  let dev: Dev
  let browser: BrowserContext
  let page: Page

  const row = (name: string) =>
    page.getByRole('region', { name: 'Models' }).getByRole('row', { name: new RegExp(`^${name}\\b`) })
  const signIn = async (key: string) => {
    await page.getByLabel('API key').fill(key)
    await page.keyboard.press('Enter')
  }
  const load = async (source: string) => {
    await page.getByLabel('Source').fill(source)
    await page.keyboard.press('Enter')
  }

  beforeAll(async () => {
    dev = await Dev.start(join(dir.path, 'cluster'), ['--no-model'])
    browser = await chromium.launchPersistentContext(join(dir.path, 'browser'), {
      executablePath: CHROMIUM,
      headless: true,
      args: ARGS,
      locale: 'en-US',
    })
    page = browser.pages()[0] ?? (await browser.newPage())
    page.setDefaultTimeout(20_000)
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      const refused = /status of 40[13]/.test(message.text())
      if (['error', 'warning'].includes(message.type()) && !refused) complaints.push(message.text())
    })
    await page.goto(`${dev.file.control}/`)
  })

  afterAll(async () => {
    await browser?.close()
    await dev?.[Symbol.asyncDispose]()
    dir[Symbol.dispose]()
  })

  it('turns away a wrong key, and one that may only call models, and says why', async () => {
    await signIn('yard_wrong')
    await page.getByText('This key is not accepted.').waitFor()
    await signIn('密钥')
    await page.getByText('This key is not accepted.').waitFor()
    const made = await dev.yard(['key', 'create', '--name', 'caller', '--scope', 'inference'])
    await signIn(made.stdout.trim())
    await page.getByText('it needs scope read or manage').waitFor()
  })

  it('lets the admin key in, and shows the node', async () => {
    await signIn(dev.key)
    await page.getByText('No models yet.').waitFor()
    await page.getByRole('region', { name: 'Nodes' }).getByText('ready', { exact: true }).waitFor()
  })

  it('loads a model, which becomes ready before one’s eyes, and shows the command that does the same', async () => {
    await load('sim:demo')
    await page.getByText('Accepted: yard load sim:demo').waitFor()
    await row('demo').getByText('1/1').waitFor()
    await row('demo').getByText('ready', { exact: true }).waitFor()
    await page.getByRole('region', { name: 'Events' }).getByText('model/demo').first().waitFor()
  })

  it('scales it by keyboard', async () => {
    await page.getByLabel('Replicas of demo').fill('2')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await row('demo').getByText('2/2').waitFor()
    expect((await dev.yard(['list', '-o', 'json'])).stdout).toContain('"readyReplicas": 2')
  })

  it('says why a model fails, and what to do', async () => {
    await load('nonsense')
    await page.getByRole('alert').getByText('has no scheme').waitFor()
    await load('file:/no/such/lost.gguf')
    const reason = /lost\.gguf is not on .*put it there/
    await row('lost').getByText('failed', { exact: true }).waitFor()
    await page.getByRole('region', { name: 'Needs attention' }).getByText(reason).waitFor()
  })

  it('unloads only after a yes, and loads it again', async () => {
    const asked: string[] = []
    page.on('dialog', (dialog) => {
      asked.push(dialog.message())
      return asked.length === 1 ? dialog.dismiss() : dialog.accept()
    })
    await page.getByRole('button', { name: 'Unload demo' }).click()
    expect(asked[0]).toContain('yard unload demo')
    expect((await dev.yard(['list', '-o', 'json'])).stdout).toContain('"readyReplicas": 2')
    await page.getByRole('button', { name: 'Unload demo' }).click()
    await row('demo').getByText('stopped').waitFor()
    await page.getByRole('button', { name: 'Load demo' }).click()
    await row('demo').getByText('2/2').waitFor()
  })

  it('speaks Chinese, also after a reload, and fits a narrow window', async () => {
    await page.getByRole('button', { name: '中文' }).click()
    await page.reload()
    await page.getByRole('heading', { name: '需要关注' }).waitFor()
    expect(await page.evaluate('document.documentElement.lang')).toBe('zh-CN')
    await page.setViewportSize({ width: 400, height: 800 })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(400)
    await page.getByRole('button', { name: 'English' }).click()
  })

  it('has made the browser complain of nothing', () => {
    expect(complaints).toEqual([])
  })

  it('says that it is stale while the server is away, and goes on when it is back', async () => {
    const { port } = new URL(dev.file.control)
    await dev.process.kill('SIGINT')
    await page.getByText('what you see is old').waitFor()
    await row('demo').waitFor()
    await using again = await Dev.start(dev.dataDir, ['--no-model', '--control-port', port])
    await until('the banner goes', async () => (await page.getByText('what you see is old').count()) === 0)
    expect(again.file.control).toBe(dev.file.control)
  })
})
