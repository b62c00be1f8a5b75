import type { Event } from '../../domain/event.ts'
import { ageText } from '../amounts.ts'
import type { Texts } from '../texts.ts'

interface EventTableProps {
  readonly texts: Texts
  readonly events: readonly Event[]
}

/** What happened and why, newest first. */
export function EventTable({ texts, events }: EventTableProps) {
  return (
    <section className="card" aria-labelledby="events">
      <h2 id="events">{texts.events}</h2>
      {events.length === 0 ? (
        <p className="quiet">{texts.noEvents}</p>
      ) : (
        <div className="scroll tall">
          <table>
            <thead>
              <tr>
                {[texts.age, texts.object, texts.reason, texts.message].map((title) => (
                  <th key={title} scope="col">
                    {title}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {events.map((event) => (
                <tr key={event.id} className={event.type}>
                  <td>{ageText(Date.now() - event.atMs)}</td>
                  <td>
                    {event.object.kind}/{event.object.name}
                  </td>
                  <td>{event.reason}</td>
                  <td>{event.message}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}
