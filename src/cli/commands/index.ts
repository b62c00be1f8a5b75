import type { Command } from '../command.ts'
import { chat } from './chat.ts'
import { embed } from './embed.ts'
import { events } from './events.ts'
import { keyCreate, keyList, keyRevoke } from './key.ts'
import { list } from './list.ts'
import { load } from './load.ts'
import { logs } from './logs.ts'
import { modelDelete, modelDescribe, modelList, modelRevisions } from './model.ts'
import { nodeCordon, nodeDescribe, nodeJoinToken, nodeList, nodeRemove, nodeUncordon } from './node.ts'
import { replicaDrain, replicaList } from './replica.ts'
import { scale } from './scale.ts'
import { status } from './status.ts'
import { unload } from './unload.ts'
import { version } from './version.ts'
import { whoami } from './whoami.ts'

/** The client's commands, in the order of help. */
export const commands: readonly Command[] = [
  load,
  unload,
  list,
  status,
  scale,
  chat,
  embed,
  logs,
  events,
  modelList,
  modelDescribe,
  modelDelete,
  modelRevisions,
  replicaList,
  replicaDrain,
  nodeList,
  nodeDescribe,
  nodeCordon,
  nodeUncordon,
  nodeRemove,
  nodeJoinToken,
  keyCreate,
  keyList,
  keyRevoke,
  whoami,
  version,
]
