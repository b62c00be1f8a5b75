import type { EtcdStoreOptions } from './etcd-store.ts'
import type { Store } from './store.ts'

/** See `etcd-store.ts`, which is loaded here, so that a process without etcd does not load gRPC. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const driver = await import('./etcd-store.ts')
  return driver.openEtcdStore(options)
}
