import type { NodeObject } from '../../api/objects.ts'
import type { Device } from '../../domain/node.ts'
import { ageText, bytesText } from '../amounts.ts'
import type { Texts } from '../texts.ts'

interface NodeTableProps {
  readonly texts: Texts
  readonly nodes: readonly NodeObject[]
}

/** Nodes with a bar for each device: what replicas reserve of its memory. */
export function NodeTable({ texts, nodes }: NodeTableProps) {
  return (
    <section className="card" aria-labelledby="nodes">
      <h2 id="nodes">{texts.nodes}</h2>
      {nodes.length === 0 ? (
        <p className="quiet">{texts.noNodes}</p>
      ) : (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                {[texts.name, texts.status, texts.devices, texts.memory, texts.replicas, texts.age].map(
                  (title) => (
                    <th key={title} scope="col">
                      {title}
                    </th>
                  ),
                )}
              </tr>
            </thead>
            <tbody>
              {nodes.map((node) => (
                <tr key={node.name}>
                  <th scope="row">{node.name}</th>
                  <td data-label={texts.status}>
                    <span className={`phase ${node.ready ? 'ready' : 'failed'}`}>
                      {node.ready ? texts.phases.ready : texts.notReporting}
                    </span>
                    {node.node.cordoned && <span className="phase pending">{texts.cordoned}</span>}
                  </td>
                  <td data-label={texts.devices}>
                    {node.status?.devices.map((device) => `${device.kind}: ${device.model}`).join('; ')}
                  </td>
                  <td data-label={texts.memory}>
                    {node.status?.devices.map((device) => (
                      <MemoryBar key={device.id} texts={texts} node={node} device={device} />
                    ))}
                  </td>
                  <td data-label={texts.replicas}>{node.placements.length}</td>
                  <td className="age" data-label={texts.age}>
                    {ageText(Date.now() - node.node.registeredAtMs, texts.locale)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}

interface MemoryBarProps {
  readonly texts: Texts
  readonly node: NodeObject
  readonly device: Device
}

function MemoryBar({ texts, node, device }: MemoryBarProps) {
  const reserved = node.placements.reduce(
    (sum, placement) =>
      sum +
      (placement.deviceIds.includes(device.id) ? placement.bytesPerDevice : 0) +
      (device.kind === 'cpu' ? placement.hostMemoryBytes : 0),
    0,
  )
  return (
    <div className="memory">
      <meter
        min={0}
        max={device.memoryBytes || 1}
        value={reserved}
        aria-label={`${texts.memory} ${device.id}`}
      />
      <span>
        {bytesText(reserved)} / {bytesText(device.memoryBytes)}
      </span>
    </div>
  )
}
