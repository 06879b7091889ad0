package org.legodnn;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import org.legodnn.internal.Text;

/**
 * What an application declares once: its models, what each is worth, how often it is called and its own limits, the
 * budget that they start with, and what switching costs. {@code legodnn bundle} writes it of the TOML file that the
 * Python package reads, beside the stores and profiles; every field means the same here. Immutable.
 *
 * <pre>
 * Workload workload = Assets.workload(context.getAssets(), "models/workload.json", folder);
 * LegoRuntime runtime = LegoRuntime.builder().workload(workload).build();
 * </pre>
 */
public final class Workload {
    private final List<LegoModel> models;
    private final Budget budget;
    private final SwitchCharge switchCharge;

    Workload(List<LegoModel> models, Budget budget, SwitchCharge switchCharge) {
        this.models = Collections.unmodifiableList(new ArrayList<>(models));
        this.budget = budget;
        this.switchCharge = switchCharge;
    }

    /**
     * Read a workload, and open its stores and profiles, whose places are relative to the file.
     * For a worker thread.
     *
     * @param file a bundle's {@code workload.json}
     * @throws WorkloadException it is unreadable, damaged, makes no sense, or asks for what this library does not do
     * @throws StoreException a store is damaged
     * @throws ProfileException a profile is missing, damaged, or of another store
     */
    public static Workload load(File file) {
        String text;
        try {
            text = Documents.utf8(Documents.read(file));
        } catch (IOException e) {
            throw new WorkloadException(
                    "cannot read " + file + ": " + e.getMessage() + "; " + WorkloadDocument.REMEDY, e);
        }
        WorkloadDocument document = WorkloadDocument.parse(text, file.toString());
        List<LegoModel> models = new ArrayList<>();
        for (WorkloadEntry entry : document.models) {
            models.add(entry.of(Store.open(beside(file, entry.store)), Profile.load(beside(file, entry.profile))));
        }
        return new Workload(models, document.budget, document.charge);
    }

    private static File beside(File file, String place) {
        File named = new File(place);
        return named.isAbsolute() ? named : new File(file.getAbsoluteFile().getParentFile(), place);
    }

    /**
     * The same with another model in place of the one of its name, such as
     * {@code workload.withModel(model.withProfile(measuredHere))} or {@code workload.withModel(model.onAnyDevice())}.
     *
     * @throws WorkloadException there is none of its name
     */
    public Workload withModel(LegoModel other) {
        List<LegoModel> changed = new ArrayList<>(models);
        changed.set(models.indexOf(get(other.table.name)), other);
        return new Workload(changed, budget, switchCharge);
    }

    /** The models, in the order of the file; a model's name is its table's. */
    public List<LegoModel> models() {
        return models;
    }

    /**
     * A model.
     *
     * @throws WorkloadException there is none of that name
     */
    public LegoModel get(String name) {
        List<String> names = new ArrayList<>();
        for (LegoModel model : models) {
            if (model.table.name.equals(name)) {
                return model;
            }
            names.add(model.table.name);
        }
        throw new WorkloadException("no model '" + name + "' in this workload; it has " + Text.list(names));
    }

    /** The limits of all models together that they start with. */
    public Budget budget() {
        return budget;
    }

    /** What switching costs; nothing where the file does not say it. */
    public SwitchCharge switchCharge() {
        return switchCharge;
    }
}
