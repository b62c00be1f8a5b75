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
        // A region that scrolls must be reachable by keyboard.
        // biome-ignore lint/a11y/noNoninteractiveTabindex: as above.
        <section className="scroll tall" aria-labelledby="events" tabIndex={0}>
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
                  <td className="age" data-label={texts.age}>
                    {ageText(Date.now() - event.atMs, texts.locale)}
                  </td>
                  <td data-label={texts.object}>
                    {event.object.kind}/{event.object.name}
                  </td>
                  <td data-label={texts.reason}>
                    <span className="reason">{event.reason}</span>
                  </td>
                  <td data-label={texts.message} lang="en">
                    {event.message}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </section>
  )
}
