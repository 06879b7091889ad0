package org.legodnn;

import java.util.ArrayList;
import java.util.List;

import org.jspecify.annotations.Nullable;

/** What a runtime is made of; {@link LegoRuntime#builder} begins one. Not for several threads at once. */
public final class RuntimeBuilder {
    private final List<LegoModel> models = new ArrayList<>();
    private @Nullable BlockExecutor executor;
    private SwitchCharge charge = SwitchCharge.LOADING;
    private Budget budget = Budget.none();

    RuntimeBuilder() {}

    /**
     * Add a model of weight 1 without limits, under its store's name.
     *
     * @param store the store
     * @param profile what this device measured of it
     * @throws ProfileException the profile is of another store
     * @throws WorkloadException a figure makes no sense
     */
    public RuntimeBuilder addModel(Store store, Profile profile) {
        return addModel(LegoModel.of(store, profile));
    }

    /** Add a model with a weight, a rate, limits or a name of its own. */
    public RuntimeBuilder addModel(LegoModel model) {
        models.add(model);
        return this;
    }

    /**
     * Add all models of a workload, and take its budget and what it says switching costs instead of those that were
     * set before.
     */
    public RuntimeBuilder workload(Workload workload) {
        models.addAll(workload.models());
        return budget(workload.budget()).switchCharge(workload.switchCharge());
    }

    /** What loads and runs blocks; TensorFlow Lite unless this is called. */
    public RuntimeBuilder executor(BlockExecutor other) {
        executor = other;
        return this;
    }

    /** What leaving a running plan costs; {@link SwitchCharge#LOADING} unless this or a workload says it. */
    public RuntimeBuilder switchCharge(SwitchCharge other) {
        charge = other;
        return this;
    }

    /** The first budget; no limits unless this or a workload says them. */
    public RuntimeBuilder budget(Budget other) {
        budget = other;
        return this;
    }

    /**
     * Plan for the budget, and load. Takes as long as loading does: not on the main thread.
     * For a worker thread.
     *
     * @throws ProfileException a profile is of another device
     * @throws StoreException a file was damaged since its store was opened
     * @throws InfeasibleException no combination of blocks holds the budget
     * @throws WorkloadException there are no models, or two of one name
     */
    public LegoRuntime build() {
        return new LegoRuntime(executor == null ? new TfLiteExecutor() : executor, models, charge, budget);
    }
}
