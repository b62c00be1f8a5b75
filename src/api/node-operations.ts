import { z } from 'zod'
import { Event } from '../domain/event.ts'
import { Endpoint, Placement } from '../domain/replica.ts'
import { define, empty, listOf, named } from './define-operation.ts'
import { NodeObject } from './objects.ts'

/** Operations on nodes, and what may be seen of the plan, endpoints and events. */
export const nodeOperations = {
  listNodes: define({
    id: 'listNodes',
    tag: 'nodes',
    method: 'GET',
    path: '/nodes',
    permission: 'nodes:read',
    summary: 'All nodes',
    result: listOf(NodeObject),
  }),
  getNode: define({
    id: 'getNode',
    tag: 'nodes',
    method: 'GET',
    path: '/nodes/{name}',
    permission: 'nodes:read',
    summary: 'One node',
    params: named,
    result: NodeObject,
    errors: ['not_found'],
  }),
  removeNode: define({
    id: 'removeNode',
    tag: 'nodes',
    method: 'DELETE',
    path: '/nodes/{name}',
    permission: 'nodes:write',
    summary: 'Forget a node and revoke its key',
    params: named,
    result: empty,
    errors: ['not_found', 'conflict'],
  }),
  cordonNode: define({
    id: 'cordonNode',
    tag: 'nodes',
    method: 'POST',
    path: '/nodes/{name}/cordon',
    permission: 'nodes:write',
    summary: 'Place nothing new on a node',
    params: named,
    result: NodeObject,
    errors: ['not_found'],
  }),
  uncordonNode: define({
    id: 'uncordonNode',
    tag: 'nodes',
    method: 'POST',
    path: '/nodes/{name}/uncordon',
    permission: 'nodes:write',
    summary: 'Let a node take replicas again',
    params: named,
    result: NodeObject,
    errors: ['not_found'],
  }),
  listEndpoints: define({
    id: 'listEndpoints',
    tag: 'endpoints',
    method: 'GET',
    path: '/endpoints',
    permission: 'endpoints:read',
    summary: 'Replicas that gateways may use',
    result: listOf(Endpoint),
  }),
  getPlan: define({
    id: 'getPlan',
    tag: 'plan',
    method: 'GET',
    path: '/plan',
    permission: 'plan:read',
    summary: 'All placements and the plan version',
    result: z.object({ planVersion: z.number().int(), placements: z.array(Placement) }),
  }),
  listEvents: define({
    id: 'listEvents',
    tag: 'events',
    method: 'GET',
    path: '/events',
    permission: 'events:read',
    summary: 'Events, oldest first',
    query: z.object({
      kind: Event.shape.object.shape.kind.optional(),
      name: z.string().optional(),
      limit: z.coerce.number().int().min(1).max(1000).default(200),
    }),
    result: listOf(Event),
  }),
} as const
