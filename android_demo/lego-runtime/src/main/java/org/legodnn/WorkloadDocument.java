package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

import org.legodnn.internal.Text;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.JsonException;

/** The JSON text of a workload, as {@code legodnn bundle} writes it: what it asks for, before any store is opened. */
final class WorkloadDocument {
    private static final String VERSION = "legodnn.workload/1";
    static final String REMEDY = "write it again with `legodnn bundle`";

    final List<WorkloadEntry> models;
    final Budget budget;
    final SwitchCharge charge;

    private WorkloadDocument(Fields document) {
        document.any("schema");
        List<WorkloadEntry> entries = new ArrayList<>();
        Set<String> names = new LinkedHashSet<>();
        for (Fields model : document.objects("models", 1, Bounds.MODELS)) {
            WorkloadEntry entry = new WorkloadEntry(model);
            if (!names.add(entry.name)) {
                throw document.error("two models are called '" + entry.name + "'; give each a name of its own");
            }
            entries.add(entry);
        }
        models = Collections.unmodifiableList(entries);
        budget = document.has("budget") ? Budget.read(document.object("budget")) : Budget.none();
        charge = document.has("switch_charge") ? SwitchCharge.read(document.object("switch_charge"))
                : SwitchCharge.NONE;
        document.end();
        check(document, "limits the latency of", budget.latencyByModel().keySet(), names);
        check(document, "has a quantile for", budget.quantileByModel().keySet(), names);
    }

    /**
     * Read a document.
     *
     * @param where the file, for messages
     * @throws WorkloadException it is damaged, of another version, makes no sense, or asks for what is not done here
     */
    static WorkloadDocument parse(String text, String where) {
        try {
            return new WorkloadDocument(new Fields(Documents.parse(text, VERSION), ""));
        } catch (JsonException | WorkloadException e) {
            throw new WorkloadException(where + ": " + e.getMessage() + "; " + REMEDY, e);
        }
    }

    private static void check(Fields document, String what, Set<String> named, Set<String> known) {
        for (String name : named) {
            if (!known.contains(name)) {
                throw document.error("the budget " + what + " '" + name + "', which is none of " + Text.list(known));
            }
        }
    }
}
