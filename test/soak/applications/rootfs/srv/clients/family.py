"""A CalDAV client's day: makes a calendar, puts events in, finds, changes and deletes them, and asks what changed since. Prints each step it is through with."""

import datetime

import caldav

client = caldav.DAVClient("https://calendar.example.org/", username="ann", password="secret")
principal = client.principal()
calendar = principal.make_calendar(name="Family", cal_id="family")
print("made", calendar.url)


def event(number: int) -> str:
    # Long enough that it would be worth compressing.
    return f"""BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//EN
BEGIN:VEVENT
UID:event-{number}@example.org
DTSTAMP:20260101T000000Z
DTSTART:202601{number:02}T100000Z
DTEND:202601{number:02}T110000Z
SUMMARY:Event {number}
DESCRIPTION:{"words " * 200}
END:VEVENT
END:VCALENDAR
"""


for number in range(1, 21):
    calendar.save_event(event(number))
assert len(calendar.events()) == 20
print("put 20 events")

found = calendar.search(
    start=datetime.datetime(2026, 1, 5), end=datetime.datetime(2026, 1, 8), event=True, expand=False
)
assert sorted(str(it.vobject_instance.vevent.summary.value) for it in found) == ["Event 5", "Event 6", "Event 7"], found
print("found 3 by their time")

known = calendar.objects_by_sync_token(load_objects=True)
assert len(list(known)) == 20
changed = calendar.event_by_uid("event-7@example.org")
changed.vobject_instance.vevent.summary.value = "Event seven"
changed.save()
calendar.event_by_uid("event-9@example.org").delete()
calendar.save_event(event(25))
updated, deleted = known.sync()
assert (len(list(updated)), len(list(deleted))) == (2, 1), (list(updated), list(deleted))
print("told 2 changes and 1 deletion by sync-collection")
