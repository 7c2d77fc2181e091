import { Module } from '@nestjs/common';
import { DoctorController } from './doctor.controller.js';
import { ProbesService } from './probes.service.js';

@Module({ controllers: [DoctorController], providers: [ProbesService] })
export class DoctorModule {}
