package org.legodnn.demo;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.legodnn.LegoModel;
import org.legodnn.Profile;

/** What is known once the stores are open. */
final class Ready {
    final Limits limits;
    /** False if TensorFlow Lite's native library is missing: nothing can be run, measured or profiled. */
    final boolean runs;
    /** What the predictions were measured on. */
    final Profile profile;
    /** Whether that is this device. */
    final boolean own;
    /** The profiles as JSON, by model. */
    final Map<String, String> profiles = new LinkedHashMap<>();

    Ready(Limits limits, boolean runs, List<LegoModel> models, boolean own) {
        this.limits = limits;
        this.runs = runs;
        this.profile = models.get(0).profile();
        this.own = own;
        for (LegoModel model : models) {
            profiles.put(model.table().name(), model.profile().toJson());
        }
    }
}
