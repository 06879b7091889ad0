plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

description = "LiteRT 2's compiled models as an executor of lego-runtime: switches pack no weights"

android {
    namespace = "org.legodnn.litert2"
    compileSdk = libs.versions.compileSdk.get().toInt()
    defaultConfig.minSdk = libs.versions.minSdk.get().toInt()
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
}

dependencies {
    api(project(":lego-runtime"))
    implementation(libs.litert2)
}
