package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

import org.jspecify.annotations.Nullable;

/**
 * What one model goes through in a switch: decided here, as values that can be looked at; done by {@link RunningModel}
 * and {@link LegoRuntime}.
 */
final class Change {
    final String model;
    /** Its choices; empty where it is suspended. */
    final List<Choice> before;
    final List<Choice> after;
    /** Memory in bytes that it takes more after than before; negative for less. */
    final long growth;
    /** Memory in bytes that loading takes at once. */
    final long load;
    /** Whether the new is loaded before the old is let go. Otherwise inference waits meanwhile. */
    final boolean beside;

    Change(String model, List<Choice> before, List<Choice> after, long growth, long load, boolean beside) {
        this.model = model;
        this.before = before;
        this.after = after;
        this.growth = growth;
        this.load = load;
        this.beside = beside;
    }

    /** Choices of one list that are not in another, as "model/segment=option". */
    List<String> names(List<Choice> of, List<Choice> without) {
        List<String> names = new ArrayList<>();
        for (Choice choice : of) {
            if (!without.contains(choice)) {
                names.add(model + "/" + choice);
            }
        }
        return names;
    }

    /**
     * The changes of a switch, those that shrink first, each beside the old if there is room.
     *
     * @param changes one for each model that changes
     * @param used memory in bytes of all models before the switch
     * @param limit what all may take during the switch; null for no limit
     */
    static List<Change> inOrder(List<Change> changes, long used, @Nullable Long limit) {
        List<Change> sorted = new ArrayList<>(changes);
        Collections.sort(sorted, new Comparator<Change>() {
            @Override
            public int compare(Change a, Change b) {
                return Long.compare(a.growth, b.growth);
            }
        });
        List<Change> ordered = new ArrayList<>();
        long now = used;
        for (Change c : sorted) {
            ordered.add(new Change(
                    c.model, c.before, c.after, c.growth, c.load, limit == null || now + c.load <= limit));
            now += c.growth;
        }
        return ordered;
    }
}
